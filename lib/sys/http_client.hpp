// Outgoing HTTPS over libcurl: HTTP/2 where the server offers it, client certificate from memory, many
// requests on one connection.
//
// Trusts the system's CA bundle, or only `ca_file` where one is given; TLS 1.2 and later. Plain HTTP only
// where the URL says http and no client certificate is set; no other scheme. Redirects are not followed.
// Proxies from the environment are not used. A failure is a value (status 0 and `error`), not an exception:
// each item of a round fails alone. What the callbacks throw passes through and ends the round. Connections
// are kept between calls, at most four to a host. Not for several threads at once.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sys/bytes.hpp"

namespace sys {

struct HttpOptions {
  std::string ca_file;          // empty: system bundle
  std::string client_cert_pem;  // empty: none
  SecretBytes client_key_pem;
  bool require_http2 = false;  // an answer over HTTP/1.1 counts as none (APNs)
  std::size_t parallel =
      100;  // requests under way at once; the server's SETTINGS_MAX_CONCURRENT_STREAMS is obeyed besides
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds total_timeout{30'000};  // of one request, waiting for a connection included
  std::size_t response_limit = 1U << 20U;           // bytes of headers and body
  std::chrono::milliseconds ask_again{1000};        // how often perform_all asks for more while it waits
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct HttpResponse {
  long status = 0;  // 0: no answer
  std::string body;
  std::map<std::string, std::string, std::less<>> headers;  // names in lower case
  std::string error;                                        // why there was no answer
};

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  HttpClient(HttpClient const&) = delete;
  HttpClient& operator=(HttpClient const&) = delete;
  ~HttpClient();

  HttpResponse perform(HttpRequest const& request);

  // Runs them all, at most `parallel` at once; `next` gives the next request or nullopt when there is none
  // now, `done` gets each answer with the number of its request (0, 1, ... in the order of `next`). While
  // requests are under way `next` is asked again, with every answer and every `ask_again`: one answer that
  // does not come holds up nobody. Ends when nothing is under way and there is no next request.
  void perform_all(std::function<std::optional<HttpRequest>()> const& next,
                   std::function<void(std::size_t, HttpResponse const&)> const& done);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sys
