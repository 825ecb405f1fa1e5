#include "sys/openssl.hpp"

#include <array>

#include <openssl/err.h>

namespace sys::ossl {

std::string take_errors() {
  std::string out;
  while (unsigned long const code = ERR_get_error()) {
    std::array<char, 256> text{};
    ERR_error_string_n(code, text.data(), text.size());
    if (!out.empty()) out += "; ";
    out += text.data();
  }
  return out.empty() ? "no reason given" : out;
}

void fail(Fault fault, std::string const& doing) { throw Error(fault, doing + ": " + take_errors()); }

Bio memory_bio(std::string_view bytes) {
  Bio bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
  if (!bio) fail(Fault::internal, "allocate memory");
  return bio;
}

Bio empty_bio() {
  Bio bio(BIO_new(BIO_s_mem()));
  if (!bio) fail(Fault::internal, "allocate memory");
  return bio;
}

std::string bio_bytes(BIO* bio) {
  char* start = nullptr;
  long const length = BIO_get_mem_data(bio, &start);
  return length > 0 ? std::string(start, static_cast<std::size_t>(length)) : std::string();
}

}  // namespace sys::ossl
