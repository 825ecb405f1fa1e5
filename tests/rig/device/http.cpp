#include "http.hpp"

#include <chrono>
#include <filesystem>

#include <curl/curl.h>
#include <openssl/ssl.h>

#include "bytes.hpp"
#include "crypto.hpp"
#include "error.hpp"

namespace device {
namespace {

constexpr std::size_t largest_reply = std::size_t{64} << 20U;

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;
struct FreeEasy {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* target) {
  auto& body = *static_cast<std::string*>(target);
  if (body.size() + size * count > largest_reply) return 0;
  body.append(bytes, size * count);
  return size * count;
}

curl_blob blob_of(const std::string& text) {
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_NOCOPY};  // NOLINT: curl only reads it
}

std::string explain(CURLcode code, const char* detail) {
  std::string text = *detail != '\0' ? detail : curl_easy_strerror(code);
  if (code == CURLE_PEER_FAILED_VERIFICATION)
    text +=
        "; the device trusts the system's certificates, the root payloads of its profile and, while it has"
        " none, --ca-file";
  return text;
}

// Asked during the transfer: afterwards curl does not tell.
std::size_t watch_session(char* /*bytes*/, std::size_t size, std::size_t count, void* target) {
  auto& [curl, resumed] = *static_cast<std::pair<CURL*, bool>*>(target);
  curl_tlssessioninfo* tls = nullptr;
  if (curl_easy_getinfo(curl, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK && tls != nullptr &&
      tls->backend == CURLSSLBACKEND_OPENSSL && tls->internals != nullptr)
    resumed = SSL_session_reused(static_cast<SSL*>(tls->internals)) == 1;
  return size * count;
}

List header_list(const Request& request) {
  curl_slist* list = curl_slist_append(nullptr, "Expect:");  // Apple's client sends the body at once
  for (const std::string& line : request.headers) list = curl_slist_append(list, line.c_str());
  return List(list);
}

void set_request(CURL* curl, const Request& request) {
  if (request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(curl, CURLOPT_POSTREDIR, static_cast<long>(CURL_REDIR_POST_ALL));
  }
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_USERAGENT, request.user_agent.c_str());
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 20L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 120L);
}

}  // namespace

struct Http::Handle {
  std::unique_ptr<CURL, FreeEasy> curl{curl_easy_init()};
};

Http::Http(std::string trust, Samples* samples)
    : handle_(std::make_unique<Handle>()), trust_(std::move(trust)), samples_(samples) {}
Http::~Http() = default;
Http::Http(Http&&) noexcept = default;
Http& Http::operator=(Http&&) noexcept = default;

void Http::trust(std::string pem) {
  if (pem == trust_) return;
  trust_ = std::move(pem);
  close();
}

void Http::identity(const Identity* identity) {
  const std::string certificate = identity == nullptr ? "" : identity->certificate_pem;
  if (certificate == certificate_) return;
  certificate_ = certificate;
  key_ = identity == nullptr ? "" : identity->key_pem;
  close();
}

void Http::record(std::string folder) {
  record_ = std::move(folder);
  if (!record_.empty()) std::filesystem::create_directories(record_);
}

std::string Http::start_recording(const Request& request) {
  if (record_.empty() || request.body.empty()) return "";
  std::string name = record_ + '/' + std::to_string(++recorded_) + '-' + request.phase;
  std::string headers;
  for (const std::string& line : request.headers) headers += line + '\n';
  write_file(name, request.body, 0600);
  write_file(name + ".headers", headers, 0600);
  return name;
}

void Http::resume() { resume_ = true; }

std::string name_of(Connection connection) {
  if (connection == Connection::kept) return "kept";
  return connection == Connection::resumed ? "resumed" : "fresh";
}

void Http::close() { handle_ = std::make_unique<Handle>(); }

void Http::set_tls(void* handle) const {
  CURL* curl = handle;
  curl_blob trust = blob_of(trust_);
  curl_blob certificate = blob_of(certificate_);
  curl_blob key = blob_of(key_);
  if (!trust_.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &trust);
  if (!certificate_.empty()) {
    curl_easy_setopt(curl, CURLOPT_SSLCERT_BLOB, &certificate);
    curl_easy_setopt(curl, CURLOPT_SSLKEY_BLOB, &key);
  }
  // Otherwise every connection costs a whole handshake.
  curl_easy_setopt(curl, CURLOPT_SSL_SESSIONID_CACHE, resume_ ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, resume_ ? 1L : 0L);
}

Reply Http::perform(const Request& request) {
  CURL* curl = handle_->curl.get();
  curl_easy_reset(curl);
  const std::string recording = start_recording(request);
  const List headers = header_list(request);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  set_request(curl, request);
  set_tls(curl);
  std::pair<CURL*, bool> session{curl, false};
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, watch_session);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &session);
  Reply reply;
  char detail[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply.body);
  const auto start = std::chrono::steady_clock::now();
  const CURLcode code = curl_easy_perform(curl);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
  const char* type = nullptr;
  curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
  if (type != nullptr) reply.content_type = type;
  if (samples_ != nullptr) samples_->push_back({request.phase, took.count(), code == CURLE_OK && reply.ok()});
  if (code != CURLE_OK) throw Error(request.url + ": " + explain(code, detail));
  long connects = 1;
  curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
  if (session.second) reply.connection = Connection::resumed;
  if (connects == 0) reply.connection = Connection::kept;
  if (!recording.empty()) write_file(recording + ".reply", reply.body, 0600);
  return reply;
}

void http_global_init() { curl_global_init(CURL_GLOBAL_DEFAULT); }

}  // namespace device
