#include "sys/seal.hpp"

#include <openssl/evp.h>
#include <zlib.h>

#include "sys/digest.hpp"
#include "sys/error.hpp"
#include "sys/openssl.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kIdSize = 16;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;
constexpr std::size_t kKeyIdSize = 8;
constexpr char kVersion = 1;

using CipherCtx = ossl::Handle<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

unsigned char* out(std::string& bytes, std::size_t at = 0) {
  return reinterpret_cast<unsigned char*>(bytes.data()) + at;
}

// Length-prefixed, so that no two (id, domain, purpose) give the same bytes.
std::string associated_data(std::string_view id, std::string_view domain, std::string_view purpose) {
  return std::string(id) + static_cast<char>(domain.size()) + std::string(domain) + std::string(purpose);
}

CipherCtx start(SecretBytes const& key, std::string_view id, std::string_view nonce, std::string_view aad,
                bool encrypt) {
  SecretBytes const row_key(hkdf_sha256(key.view(), "pomona row " + std::string(id)));
  CipherCtx context(EVP_CIPHER_CTX_new());
  int length = 0;
  if (!context ||
      EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, ossl::data(row_key.view()),
                        ossl::data(nonce), encrypt ? 1 : 0) != 1 ||
      EVP_CipherUpdate(context.get(), nullptr, &length, ossl::data(aad), static_cast<int>(aad.size())) != 1) {
    ossl::fail(Fault::internal, "start cipher");
  }
  return context;
}

// zlib's tables are 256 kB unless told otherwise, and clearing them costs more than deflating a report: they
// are made for the value's size. Whoever inflates does not need to know.
int window_bits(std::size_t size) {
  constexpr int kLeast = 9;
  int bits = kLeast;
  while (bits < MAX_WBITS && (std::size_t{1} << static_cast<unsigned>(bits)) < size) ++bits;
  return bits;
}

std::string deflate_bytes(std::string_view plain) {
  int const bits = window_bits(plain.size());
  z_stream stream{};
  constexpr int kLessThanWindow = 7;  // memLevel 8, zlib's default, goes with a window of 15 bits
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, bits, std::max(1, bits - kLessThanWindow),
                   Z_DEFAULT_STRATEGY) != Z_OK)
    throw Error(Fault::internal, "deflate: out of memory");
  std::string packed(deflateBound(&stream, static_cast<uLong>(plain.size())), '\0');
  stream.next_in = const_cast<Bytef*>(ossl::data(plain));  // NOLINT(*-const-cast): zlib only reads it
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = out(packed);
  stream.avail_out = static_cast<uInt>(packed.size());
  int const done = deflate(&stream, Z_FINISH);
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  if (done != Z_STREAM_END) throw Error(Fault::internal, "deflate: it did not come to an end");
  return packed;
}

std::string inflate_bytes(std::string_view packed, std::size_t size) {
  std::string plain(size, '\0');
  auto length = static_cast<uLongf>(size);
  if (uncompress(out(plain), &length, ossl::data(packed), static_cast<uLong>(packed.size())) != Z_OK ||
      length != size) {
    throw Error(Fault::internal, "inflate: stored value is damaged");
  }
  return plain;
}

std::string encode_size(std::size_t size) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8)
    text.push_back(static_cast<char>((size >> static_cast<unsigned>(shift)) & 0xffU));
  return text;
}

std::size_t decode_size(std::string_view text) {
  std::size_t size = 0;
  for (char const c : text) size = (size << 8U) | static_cast<unsigned char>(c);
  return size;
}

}  // namespace

SealKey::SealKey(std::string domain, SecretBytes key) : domain_(std::move(domain)), key_(std::move(key)) {
  if (key_.view().size() != kKeySize) {
    throw Error(Fault::internal, "key of domain " + domain_ + ": 32 bytes are needed, not " +
                                     std::to_string(key_.view().size()));
  }
  key_id_ = sha256(key_.view()).substr(0, kKeyIdSize);
}

SealKey SealKey::from_master(std::string const& domain, SecretBytes const& master, int generation) {
  if (master.view().size() != kKeySize) throw Error(Fault::internal, "master key: 32 bytes are needed");
  std::string const suffix = generation > 1 ? ' ' + std::to_string(generation) : "";
  return {domain, SecretBytes(hkdf_sha256(master.view(), "pomona domain " + domain + suffix))};
}

SealKey::Sealed SealKey::seal(std::string_view purpose, std::string_view plain) const {
  return seal_as(random_bytes(kIdSize), purpose, plain);
}

SealKey::Sealed SealKey::seal_as(std::string id, std::string_view purpose, std::string_view plain) const {
  Sealed sealed{std::move(id), random_bytes(kNonceSize), std::string(plain.size() + kTagSize, '\0')};
  auto const context =
      start(key_, sealed.id, sealed.nonce, associated_data(sealed.id, domain_, purpose), true);
  int length = 0;
  if (EVP_CipherUpdate(context.get(), out(sealed.body), &length, ossl::data(plain),
                       static_cast<int>(plain.size())) != 1 ||
      EVP_CipherFinal_ex(context.get(), out(sealed.body, static_cast<std::size_t>(length)), &length) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagSize, out(sealed.body, plain.size())) !=
          1) {
    ossl::fail(Fault::internal, "seal");
  }
  return sealed;
}

SecretBytes SealKey::open(Sealed const& sealed, std::string_view purpose) const {
  std::string const refusal =
      "open sealed value of domain " + domain_ + ": wrong key file, or the row was altered";
  if (sealed.id.size() != kIdSize || sealed.nonce.size() != kNonceSize || sealed.body.size() < kTagSize) {
    throw Error(Fault::internal, refusal);
  }
  std::size_t const size = sealed.body.size() - kTagSize;
  auto const context =
      start(key_, sealed.id, sealed.nonce, associated_data(sealed.id, domain_, purpose), false);
  std::string plain(size + kTagSize, '\0');
  std::string tag = sealed.body.substr(size);
  int length = 0;
  int last = 0;
  bool const opened =
      EVP_CipherUpdate(context.get(), out(plain), &length, ossl::data(sealed.body), static_cast<int>(size)) ==
          1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagSize, tag.data()) == 1 &&
      EVP_CipherFinal_ex(context.get(), out(plain, static_cast<std::size_t>(length)), &last) == 1;
  if (!opened) {
    wipe(plain);
    ossl::take_errors();
    throw Error(Fault::internal, refusal);
  }
  plain.resize(size);
  return SecretBytes(std::move(plain));
}

std::string SealKey::seal_column(std::string_view purpose, std::string_view plain) const {
  Sealed const sealed = seal(purpose, encode_size(plain.size()) + deflate_bytes(plain));
  return kVersion + key_id_ + sealed.id + sealed.nonce + sealed.body;
}

std::string_view SealKey::column_key_id(std::string_view sealed) noexcept {
  return sealed.size() < kColumnHead ? std::string_view() : sealed.substr(1, kKeyIdSize);
}

std::string SealKey::open_column(std::string_view sealed, std::string_view purpose, std::size_t limit) const {
  static_assert(kColumnHead == 1 + kKeyIdSize + kIdSize + kNonceSize);
  if (sealed.size() < kColumnHead || sealed.front() != kVersion) {
    throw Error(Fault::internal,
                "open sealed column of domain " + domain_ + ": not in a form this version knows");
  }
  if (column_key_id(sealed) != key_id_) {
    throw Error(Fault::internal,
                "open sealed column of domain " + domain_ + ": it was sealed under another key");
  }
  Sealed const parts{std::string(sealed.substr(1 + kKeyIdSize, kIdSize)),
                     std::string(sealed.substr(1 + kKeyIdSize + kIdSize, kNonceSize)),
                     std::string(sealed.substr(kColumnHead))};
  SecretBytes const packed = open(parts, purpose);
  if (packed.view().size() < 4)
    throw Error(Fault::internal, "open sealed column of domain " + domain_ + ": too short");
  std::size_t const size = decode_size(packed.view().substr(0, 4));
  if (size > limit)
    throw Error(Fault::internal, "open sealed column of domain " + domain_ + ": larger than allowed");
  return inflate_bytes(packed.view().substr(4), size);
}

}  // namespace sys
