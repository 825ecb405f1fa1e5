// Runs sys::HttpClient for tests: requests from standard input, a line each: METHOD URL [BODY].
//
// pomona-http-fetch [--ca FILE] [--cert FILE --key FILE] [--http2 yes] [--parallel N] [--limit BYTES]
//                   [--timeout MS] [--rounds N] [--header "NAME: VALUE"]...
// Prints for each answer, as it comes: ROUND NUMBER STATUS BODY-SIZE CONTENT-TYPE|- ERROR
// All rounds use one client. METHOD "THROW" makes the source of requests throw, to see that the client
// survives it.
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "sys/file.hpp"
#include "sys/http_client.hpp"
#include "sys/text.hpp"

namespace {

struct Options {
  sys::HttpOptions http;
  std::vector<std::pair<std::string, std::string>> headers;
  int rounds = 1;
};

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string const name = argv[i];
    std::string const value = argv[i + 1];
    if (name == "--ca") options.http.ca_file = value;
    if (name == "--cert") options.http.client_cert_pem = sys::read_file(value);
    if (name == "--key") options.http.client_key_pem = sys::read_secret_file(value);
    if (name == "--http2") options.http.require_http2 = true;
    if (name == "--parallel") options.http.parallel = std::stoul(value);
    if (name == "--limit") options.http.response_limit = std::stoul(value);
    if (name == "--timeout") options.http.total_timeout = std::chrono::milliseconds(std::stoi(value));
    if (name == "--rounds") options.rounds = std::stoi(value);
    if (name == "--header") {
      auto const colon = value.find(':');
      options.headers.emplace_back(value.substr(0, colon),
                                   sys::trim(std::string_view(value).substr(colon + 1)));
    }
  }
  return options;
}

std::vector<sys::HttpRequest> read_requests(Options const& options) {
  std::vector<sys::HttpRequest> requests;
  for (std::string line; std::getline(std::cin, line);) {
    auto const parts = sys::split(line, ' ');
    sys::HttpRequest request;
    request.method = parts.at(0);
    request.url = parts.at(1);
    if (parts.size() > 2) request.body = line.substr(parts[0].size() + parts[1].size() + 2);
    request.headers = options.headers;
    requests.push_back(std::move(request));
  }
  return requests;
}

void run_round(sys::HttpClient& client, std::vector<sys::HttpRequest> const& requests, int round) {
  std::size_t at = 0;
  client.perform_all(
      [&]() -> std::optional<sys::HttpRequest> {
        if (at == requests.size()) return std::nullopt;
        if (requests[at].method == "THROW") throw std::runtime_error("thrown by the source");
        return requests[at++];
      },
      [round](std::size_t number, sys::HttpResponse const& response) {
        auto const type = response.headers.find("content-type");
        std::cout << round << ' ' << number << ' ' << response.status << ' ' << response.body.size() << ' '
                  << (type == response.headers.end() ? "-" : type->second) << ' ' << response.error << '\n';
      });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    auto const options = options_of(argc, argv);
    auto const requests = read_requests(options);
    sys::HttpClient client(options.http);
    for (int round = 0; round < options.rounds; ++round) {
      try {
        run_round(client, requests, round);
      } catch (std::runtime_error const& error) {
        std::cout << round << " - 0 0 - " << error.what() << '\n';
      }
    }
    return 0;
  } catch (std::exception const& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
