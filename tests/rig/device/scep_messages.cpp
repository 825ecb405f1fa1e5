// pomona-scep-messages: SCEP enrolment requests, made before they are needed, in the form of Apple's client.
//
//   pomona-scep-messages RECIPIENT.pem KEYS N < challenges     (RECIPIENT: the RA's or CA's certificate)
//
// Reads one challenge a line and prints one request each: its length in decimal, a line feed, its bytes. N
// keys are made or taken from the pool folder KEYS and used in turn; each request has a subject of its own.
//
// SECURITY: for measurements only. The challenges are those of a private stack.
#include <iostream>

#include "bytes.hpp"
#include "csr.hpp"
#include "keys.hpp"
#include "scep_message.hpp"

namespace {

constexpr int key_bits = 2048;
constexpr std::size_t segment = std::size_t{64} << 10U;

std::string message_for(const std::string& challenge, const device::Key& key, X509* recipient) {
  device::ScepPayload payload;
  payload.challenge = challenge;
  payload.keysize = key_bits;
  payload.key_usage = 5;
  payload.subject = {{{"CN", device::uuid()}}};
  const std::string csr = device::make_csr(payload, key.get(), EVP_sha256());
  const device::Identity signer = device::make_temporary_signer(key, EVP_sha256());
  const device::ScepRequest request{device::pkcs_req, device::transaction_id(signer.certificate.get()),
                                    device::random_bytes(16)};
  return device::encode_request(request, csr, recipient, signer, {EVP_sha256(), EVP_aes_128_cbc(), segment});
}

int run(const char* recipient_file, const char* pool_folder, int count) {
  const auto recipient = device::certificate_from_pem(device::read_file(recipient_file));
  device::KeyPool pool(pool_folder);
  std::vector<device::Key> keys;
  keys.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) keys.push_back(pool.take(key_bits, {}));
  std::size_t turn = 0;
  for (std::string challenge; std::getline(std::cin, challenge);) {
    const std::string message = message_for(challenge, keys[turn++ % keys.size()], recipient.get());
    std::cout << message.size() << '\n' << message;
  }
  return std::cout.flush() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "Usage: pomona-scep-messages RECIPIENT KEYS N < challenges\n";
    return 2;
  }
  try {
    return run(argv[1], argv[2], std::stoi(argv[3]));
  } catch (const std::exception& error) {
    std::cerr << "pomona-scep-messages: " << error.what() << '\n';
    return 1;
  }
}
