#include "sys/served_chain.hpp"

#include <array>

#include "sys/error.hpp"
#include "sys/http_transfer.hpp"

namespace sys {

namespace {

constexpr long kMostMilliseconds = 10'000;
constexpr std::string_view kCertificate = "Cert:";

std::vector<Cert> certificates_of(CURL* easy) {
  curl_certinfo* info = nullptr;
  std::vector<Cert> chain;
  if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &info) != CURLE_OK || info == nullptr) return chain;
  for (int i = 0; i < info->num_of_certs; ++i) {
    for (auto const* line = info->certinfo[i]; line != nullptr; line = line->next) {
      std::string_view const text(line->data);
      if (text.starts_with(kCertificate)) chain.push_back(Cert::from_pem(text.substr(kCertificate.size())));
    }
  }
  return chain;
}

}  // namespace

std::vector<Cert> served_chain(std::string const& https_url) {
  start_curl();
  Easy const easy(curl_easy_init());
  if (easy == nullptr) throw std::bad_alloc();
  std::array<char, CURL_ERROR_SIZE> words{};
  bool set = true;
  auto const option = [&](CURLoption name, auto value) {
    set = set && curl_easy_setopt(easy.get(), name, value) == CURLE_OK;
  };
  option(CURLOPT_URL, https_url.c_str());
  option(CURLOPT_PROTOCOLS_STR, "https");
  option(CURLOPT_PROXY, "");
  option(CURLOPT_NOSIGNAL, 1L);
  option(CURLOPT_CONNECT_ONLY, 1L);
  option(CURLOPT_CERTINFO, 1L);
  option(CURLOPT_SSL_VERIFYPEER, 0L);
  option(CURLOPT_SSL_VERIFYHOST, 0L);
  option(CURLOPT_TIMEOUT_MS, kMostMilliseconds);
  option(CURLOPT_ERRORBUFFER, words.data());
  if (!set) throw Error(Fault::internal, "look at an HTTPS server: libcurl refuses a setting");
  auto const result = curl_easy_perform(easy.get());
  if (result != CURLE_OK) {
    throw Error(Fault::unavailable, std::string("no TLS connection: ") +
                                        (words[0] != 0 ? words.data() : curl_easy_strerror(result)));
  }
  auto chain = certificates_of(easy.get());
  if (chain.empty()) throw Error(Fault::unavailable, "the server shows no certificate");
  return chain;
}

}  // namespace sys
