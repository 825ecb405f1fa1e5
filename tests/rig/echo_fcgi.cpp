// A FastCGI program for tests of sys/fcgi: answers with what it was asked, or misbehaves on demand.
//
// pomona-echo-fcgi [--socket PATH] [--threads N] [--limit BYTES] [--gate SECRET]
//   /hold        makes the file HOLD_FILE.started, waits until HOLD_FILE.release is there (20 s at most),
//   answers /throw       lets a sys::Error escape; /throw-odd something that is no exception /bad-header
//   tries to send a header with a line break /big?N       answers N bytes /thread      answers the number of
//   the thread's handler else         lines NAME=VALUE of the parameters, an empty line, the body
#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <thread>

#include "sys/error.hpp"
#include "sys/fcgi.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace {

sys::Response text(std::string body) { return {200, "text/plain", std::move(body), {}}; }

sys::Response hold(std::string const& file) {
  std::ofstream(file + ".started") << '\n';
  auto const deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!sys::file_exists(file + ".release")) {
    if (std::chrono::steady_clock::now() > deadline) return sys::plain_error(503);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return text("released");
}

sys::Response echo(sys::Request const& request) {
  std::string out;
  for (auto const& [name, value] : request.params) out.append(name).append("=").append(value).append("\n");
  return text(out + '\n' + request.body);
}

sys::Response handle(sys::Request const& request, int number) {
  auto const path = request.path();
  if (path == "/hold") return hold(std::string(request.param("HOLD_FILE")));
  if (path == "/throw") throw sys::Error(sys::Fault::internal, "thrown on demand\nin two lines");
  if (path == "/throw-odd") throw 1;  // NOLINT(hicpp-exception-baseclass)
  if (path == "/bad-header") return {200, "text/plain", "x", {{"X-Bad", "a\r\nSet-Cookie: b"}}};
  if (path == "/big")
    return text(std::string(static_cast<std::size_t>(sys::parse_integer(request.query()).value_or(0)), 'x'));
  if (path == "/thread") return text(std::to_string(number));
  return echo(request);
}

sys::ServeOptions options_of(int argc, char** argv) {
  sys::ServeOptions options;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string const name = argv[i];
    std::string const value = argv[i + 1];
    if (name == "--socket") options.socket_path = value;
    if (name == "--threads") options.threads = std::stoi(value);
    if (name == "--limit") options.body_limit = std::stoul(value);
    if (name == "--gate") options.gate = sys::SecretBytes(value);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::atomic<int> handlers{0};
    return sys::serve(options_of(argc, argv), [&handlers] {
      return [number = handlers++](sys::Request const& request) { return handle(request, number); };
    });
  } catch (std::exception const& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
