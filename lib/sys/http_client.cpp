#include "sys/http_client.hpp"

#include <algorithm>
#include <map>

#include "sys/error.hpp"
#include "sys/http_transfer.hpp"

namespace sys {

namespace {

constexpr long kConnectionsPerHost = 4;  // several are welcome, bursts of them are not

void check(CURLMcode code) {
  if (code != CURLM_OK)
    throw Error(Fault::internal, std::string("HTTP requests: ") + curl_multi_strerror(code));
}

}  // namespace

void start_curl() {
  static bool const started = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  if (!started) throw Error(Fault::internal, "start libcurl: it cannot be initialised");
}

struct HttpClient::State {
  explicit State(HttpOptions wanted) : options(std::move(wanted)) {
    options.parallel = std::max<std::size_t>(1, options.parallel);
    start_curl();
    multi.reset(curl_multi_init());
    if (multi == nullptr) throw std::bad_alloc();
    check(curl_multi_setopt(multi.get(), CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_MULTIPLEX)));
    check(curl_multi_setopt(multi.get(), CURLMOPT_MAX_HOST_CONNECTIONS, kConnectionsPerHost));
    check(
        curl_multi_setopt(multi.get(), CURLMOPT_MAX_CONCURRENT_STREAMS, static_cast<long>(options.parallel)));
  }

  Easy take_easy() {
    if (!idle.empty()) {
      Easy easy = std::move(idle.back());
      idle.pop_back();
      return easy;
    }
    Easy easy(curl_easy_init());
    if (easy == nullptr) throw std::bad_alloc();
    return easy;
  }

  HttpOptions options;
  Multi multi;             // holds the connections
  std::vector<Easy> idle;  // goes before `multi`
};

namespace {

using Next = std::function<std::optional<HttpRequest>()>;
using Done = std::function<void(std::size_t, HttpResponse const&)>;

// One call of perform_all. When a callback throws, the transfers under way end with it.
template <typename State>
class Round {
 public:
  Round(State& state, Next const& next, Done const& done) : state_(state), next_(next), done_(done) {}

  void run() {
    int const poll_ms = static_cast<int>(state_.options.ask_again.count());
    while (true) {
      fill();
      if (active_.empty()) return;
      int running = 0;
      check(curl_multi_perform(state_.multi.get(), &running));
      if (!collect()) check(curl_multi_poll(state_.multi.get(), nullptr, 0, poll_ms, nullptr));
    }
  }

 private:
  struct Active {
    std::size_t number;
    std::unique_ptr<HttpTransfer> transfer;
  };

  void fill() {
    while (active_.size() < state_.options.parallel) {
      auto request = next_();
      if (!request) return;
      start(number_++, std::move(*request));
    }
  }

  void start(std::size_t number, HttpRequest request) {
    std::string refused;
    try {
      auto transfer = std::make_unique<HttpTransfer>(state_.take_easy(), state_.options, std::move(request));
      transfer->add_to(state_.multi.get());
      CURL* const easy = transfer->easy();
      active_.emplace(easy, Active{number, std::move(transfer)});
      return;
    } catch (Error const& error) {
      refused = error.what();
    }
    HttpResponse response;
    response.error = refused;
    done_(number, response);
  }

  // Whether any transfer has ended.
  bool collect() {
    bool any = false;
    int queued = 0;
    while (CURLMsg const* const message = curl_multi_info_read(state_.multi.get(), &queued)) {
      if (message->msg != CURLMSG_DONE) continue;
      CURLcode const result = message->data.result;  // the message goes with the handle
      auto node = active_.extract(message->easy_handle);
      if (node.empty()) continue;
      any = true;
      auto& active = node.mapped();
      HttpResponse const response = active.transfer->finish(result);
      state_.idle.push_back(active.transfer->release());
      done_(active.number, response);
    }
    return any;
  }

  State& state_;
  Next const& next_;
  Done const& done_;
  std::map<CURL*, Active> active_;
  std::size_t number_ = 0;
};

}  // namespace

HttpClient::HttpClient(HttpOptions options) : state_(std::make_unique<State>(std::move(options))) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

HttpResponse HttpClient::perform(HttpRequest const& request) {
  HttpResponse answer;
  bool asked = false;
  perform_all(
      [&]() -> std::optional<HttpRequest> {
        if (std::exchange(asked, true)) return std::nullopt;
        return request;
      },
      [&answer](std::size_t, HttpResponse const& response) { answer = response; });
  return answer;
}

void HttpClient::perform_all(std::function<std::optional<HttpRequest>()> const& next,
                             std::function<void(std::size_t, HttpResponse const&)> const& done) {
  Round(*state_, next, done).run();
}

}  // namespace sys
