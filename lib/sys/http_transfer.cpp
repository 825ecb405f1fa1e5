#include "sys/http_transfer.hpp"

#include <algorithm>
#include <cctype>

#include "sys/error.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

template <typename Value>
void set(CURL* easy, CURLoption option, Value value) {
  if (CURLcode const code = curl_easy_setopt(easy, option, value); code != CURLE_OK)
    throw Error(Fault::internal, std::string("prepare HTTP request: ") + curl_easy_strerror(code));
}

// libcurl keeps the pointer: the bytes must outlive the transfer.
void set_pem(CURL* easy, CURLoption option, std::string const& pem) {
  curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};  // only read
  set(easy, option, &blob);
}

bool is_method(std::string_view method) {
  return !method.empty() && method.size() < 32 &&
         std::all_of(method.begin(), method.end(), [](char c) { return (c >= 'A' && c <= 'Z') || c == '-'; });
}

bool has_line_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

}  // namespace

HttpTransfer::HttpTransfer(Easy easy, HttpOptions const& options, HttpRequest request)
    : easy_(std::move(easy)), options_(options), request_(std::move(request)) {
  set_transport();
  set_trust();
  set_request();
  set_sinks();
}

HttpTransfer::~HttpTransfer() {
  if (multi_ != nullptr) curl_multi_remove_handle(multi_, easy_.get());
}

void HttpTransfer::set_transport() {
  CURL* const easy = easy_.get();
  set(easy, CURLOPT_URL, request_.url.c_str());
  bool const plain = request_.url.starts_with("http://");
  if (plain && !options_.client_cert_pem.empty())
    throw Error(Fault::internal, "prepare HTTP request: a client certificate needs https");
  set(easy, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
  set(easy, CURLOPT_PROXY, "");
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  // Rather a stream on a connection that is being made than another connection. Without TLS there are no
  // streams, and all would wait for the first answer.
  set(easy, CURLOPT_PIPEWAIT, plain ? 0L : 1L);
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  set(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(options_.total_timeout.count()));
}

void HttpTransfer::set_trust() {
  CURL* const easy = easy_.get();
  set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!options_.ca_file.empty()) {
    set(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
    set(easy, CURLOPT_CAPATH, static_cast<char const*>(nullptr));  // Debian's default is the whole system's
  }
  if (options_.client_cert_pem.empty()) return;
  set(easy, CURLOPT_SSLCERTTYPE, "PEM");
  set_pem(easy, CURLOPT_SSLCERT_BLOB, options_.client_cert_pem);
  set(easy, CURLOPT_SSLKEYTYPE, "PEM");
  set_pem(easy, CURLOPT_SSLKEY_BLOB, options_.client_key_pem.str());
}

void HttpTransfer::set_request() {
  CURL* const easy = easy_.get();
  if (!is_method(request_.method))
    throw Error(Fault::internal,
                "prepare HTTP request: " + escape_controls(request_.method) + " is no method");
  if (request_.method == "HEAD") {
    set(easy, CURLOPT_NOBODY, 1L);
  } else {
    if (!request_.body.empty() || request_.method == "POST" || request_.method == "PUT") {
      set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
      set(easy, CURLOPT_POSTFIELDS, request_.body.c_str());
    }
    set(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }
  // A name alone keeps libcurl from adding that header by itself.
  std::vector<std::string> lines{"Expect:"};
  bool typed = false;
  for (auto const& [name, value] : request_.headers) {
    if (name.empty() || has_line_break(name) || name.find(':') != std::string::npos || has_line_break(value))
      throw Error(Fault::internal,
                  "prepare HTTP request: the header " + escape_controls(name) + " is malformed");
    typed = typed || to_lower(name) == "content-type";
    std::string& line = lines.emplace_back(name);
    line += value.empty() ? ";" : ": ";  // libcurl's way to say that a header is empty
    line += value;
  }
  if (!typed) lines.emplace_back("Content-Type:");
  for (auto const& line : lines) {
    curl_slist* const longer = curl_slist_append(headers_.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    static_cast<void>(headers_.release());
    headers_.reset(longer);
  }
  set(easy, CURLOPT_HTTPHEADER, headers_.get());
  set(easy, CURLOPT_USERAGENT, "Pomona");
}

void HttpTransfer::set_sinks() {
  CURL* const easy = easy_.get();
  set(easy, CURLOPT_WRITEFUNCTION, &HttpTransfer::take_body);
  set(easy, CURLOPT_WRITEDATA, this);
  set(easy, CURLOPT_HEADERFUNCTION, &HttpTransfer::take_header);
  set(easy, CURLOPT_HEADERDATA, this);
  set(easy, CURLOPT_ERRORBUFFER, error_.data());
}

bool HttpTransfer::fits(std::size_t more) {
  received_ += more;
  too_large_ = received_ > options_.response_limit;
  return !too_large_;
}

// libcurl ends the transfer when a callback takes fewer bytes than it was given.
std::size_t HttpTransfer::take_body(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept
    try {
  auto& self = *static_cast<HttpTransfer*>(transfer);
  if (!self.fits(size * count)) return 0;
  self.response_.body.append(bytes, size * count);
  return size * count;
} catch (...) {
  return 0;
}

std::size_t HttpTransfer::take_header(char* bytes, std::size_t size, std::size_t count,
                                      void* transfer) noexcept try {
  auto& self = *static_cast<HttpTransfer*>(transfer);
  if (!self.fits(size * count)) return 0;
  self.add_header(std::string_view(bytes, size * count));
  return size * count;
} catch (...) {
  return 0;
}

void HttpTransfer::add_header(std::string_view line) {
  if (line.starts_with("HTTP/")) {  // a new block: what came before was an interim answer
    response_.headers.clear();
    return;
  }
  auto const colon = line.find(':');
  if (colon == std::string_view::npos) return;
  auto const value = trim(line.substr(colon + 1));
  auto const [member, added] = response_.headers.try_emplace(to_lower(line.substr(0, colon)), value);
  if (!added) member->second += ", " + std::string(value);
}

void HttpTransfer::add_to(CURLM* multi) {
  if (CURLMcode const code = curl_multi_add_handle(multi, easy_.get()); code != CURLM_OK)
    throw Error(Fault::internal, std::string("start HTTP request: ") + curl_multi_strerror(code));
  multi_ = multi;
}

HttpResponse HttpTransfer::finish(CURLcode result) {
  if (result == CURLE_OK) {
    long version = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &response_.status);
    if (!options_.require_http2 || version == CURL_HTTP_VERSION_2_0) return std::move(response_);
    response_ = {};
    response_.error = "the server does not speak HTTP/2";
    return std::move(response_);
  }
  bool const too_large = too_large_;
  response_ = {};
  response_.error = error_[0] != '\0' ? error_.data() : curl_easy_strerror(result);
  if (too_large)
    response_.error = "the answer is larger than " + std::to_string(options_.response_limit) + " bytes";
  return std::move(response_);
}

Easy HttpTransfer::release() {
  if (multi_ != nullptr) curl_multi_remove_handle(multi_, easy_.get());
  multi_ = nullptr;
  curl_easy_reset(easy_.get());  // it must not remember pointers into this object
  return std::move(easy_);
}

}  // namespace sys
