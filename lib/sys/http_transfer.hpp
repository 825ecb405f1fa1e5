// Inside of sys/http_client: one request in libcurl's hands. Others include sys/http_client.hpp.
#pragma once

#include <array>
#include <memory>
#include <string>

#include <curl/curl.h>

#include "sys/http_client.hpp"

namespace sys {

struct FreeEasy {
  void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;

struct FreeMulti {
  void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }
};
using Multi = std::unique_ptr<CURLM, FreeMulti>;

void start_curl();  // once for the process

// Stays at its address while libcurl works for it: libcurl keeps pointers into it.
class HttpTransfer {
 public:
  // `easy` is new or was released by another transfer; `options` must outlive this. Throws Error when libcurl
  // refuses a setting or the request cannot be sent as it is (scheme, method, line break in a header).
  HttpTransfer(Easy easy, HttpOptions const& options, HttpRequest request);
  HttpTransfer(HttpTransfer const&) = delete;
  HttpTransfer& operator=(HttpTransfer const&) = delete;
  ~HttpTransfer();

  void add_to(CURLM* multi);
  [[nodiscard]] CURL* easy() const noexcept { return easy_.get(); }
  // After libcurl has finished; the handle goes back for the next request.
  HttpResponse finish(CURLcode result);
  Easy release();

 private:
  void set_transport();
  void set_trust();
  void set_request();
  void set_sinks();
  static std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept;
  static std::size_t take_header(char* bytes, std::size_t size, std::size_t count, void* transfer) noexcept;
  bool fits(std::size_t more);
  void add_header(std::string_view line);

  struct FreeList {
    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
  };

  Easy easy_;
  CURLM* multi_ = nullptr;  // where it has been added
  HttpOptions const& options_;
  HttpRequest request_;
  std::unique_ptr<curl_slist, FreeList> headers_;
  HttpResponse response_;
  std::size_t received_ = 0;
  bool too_large_ = false;
  std::array<char, CURL_ERROR_SIZE> error_{};
};

}  // namespace sys
