#include "sys/fcgi_message.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

#include "sys/error.hpp"
#include "sys/log.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

constexpr std::size_t kMostParams = 256;
constexpr std::size_t kMostParamBytes = 512U << 10U;
constexpr std::size_t kChunk = 1U << 20U;  // memory grows with what arrives, not with what is announced

// A request that does not reach the handler.
struct Refusal {
  int status;
  std::string why;
};

std::optional<Refusal> take_params(char const* const* env, Request& request) {
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (; env != nullptr && *env != nullptr; ++env) {
    std::string_view const line(*env);
    bytes += line.size();
    if (++count > kMostParams || bytes > kMostParamBytes)
      return Refusal{400, "more than " + std::to_string(kMostParams) + " parameters or " +
                              std::to_string(kMostParamBytes) + " bytes of them"};
    auto const equals = line.find('=');
    if (equals == std::string_view::npos || equals == 0) continue;
    // The later one counts, as in every FastCGI program: a site overrides what an included file set.
    request.params.insert_or_assign(std::string(line.substr(0, equals)), line.substr(equals + 1));
  }
  request.params.erase("HTTP_PROXY");  // a client header that some programs take for a setting
  return std::nullopt;
}

std::optional<Refusal> check_gate(Request& request, SecretBytes const& gate) {
  auto const found = request.params.find("POMONA_GATE");
  bool const right =
      gate.empty() || (found != request.params.end() && equal_constant_time(found->second, gate.view()));
  if (found != request.params.end()) {
    wipe(found->second);
    request.params.erase(found);
  }
  if (right) return std::nullopt;
  return Refusal{403, "parameter POMONA_GATE is missing or differs from the gate file"};
}

std::optional<Refusal> take_body(Request& request, std::size_t limit, ReadBody const& read) {
  auto const announced = request.param("CONTENT_LENGTH");
  if (announced.empty()) return std::nullopt;
  std::uint64_t length = 0;
  auto const [end, error] = std::from_chars(announced.data(), announced.data() + announced.size(), length);
  if (error == std::errc::result_out_of_range) return Refusal{413, "body above the limit"};
  if (error != std::errc{} || end != announced.data() + announced.size())
    return Refusal{400, "CONTENT_LENGTH is no number"};
  if (length > limit)
    return Refusal{413, "body of " + std::to_string(length) + " bytes, limit " + std::to_string(limit)};
  while (request.body.size() < length) {
    std::size_t const have = request.body.size();
    std::size_t const wanted = std::min<std::size_t>(kChunk, length - have);
    request.body.resize(have + wanted);
    std::size_t const got = read(request.body.data() + have, wanted);
    if (got < wanted)
      return Refusal{
          400, "body ended after " + std::to_string(have + got) + " of " + std::to_string(length) + " bytes"};
  }
  return std::nullopt;
}

// nginx gives DOCUMENT_URI, other servers only the two parts.
void complete_path(Request& request) {
  if (!request.param("DOCUMENT_URI").empty()) return;
  std::string path(request.param("SCRIPT_NAME"));
  path += request.param("PATH_INFO");
  request.params.insert_or_assign("DOCUMENT_URI", std::move(path));
}

std::optional<Refusal> take_request(ServeOptions const& options, char const* const* env, ReadBody const& read,
                                    Request& request) {
  if (auto refusal = take_params(env, request)) return refusal;
  if (auto refusal = check_gate(request, options.gate)) return refusal;
  if (auto refusal = take_body(request, options.body_limit, read)) return refusal;
  complete_path(request);
  return std::nullopt;
}

void log_failure(int status, Request const& request, std::string_view why) {
  LogLine("request")
      .add("status", status)
      .add("method", request.method())
      .add("remote", request.remote())
      .add("error", why)
      .write();
}

bool is_token(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || kOthers.find(c) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    auto const byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

void add_header(std::string& head, std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value))
    throw Error(Fault::internal,
                "answer: header " + escape_controls(name) + " holds a character that HTTP forbids");
  head += name;
  head += ": ";
  head += value;
  head += "\r\n";
}

std::string answer_or_throw(ServeOptions const& options, Handler const& handler, char const* const* env,
                            ReadBody const& read) {
  Request request;
  try {
    if (auto const refusal = take_request(options, env, read, request)) {
      log_failure(refusal->status, request, refusal->why);
      return encode_response(plain_error(refusal->status), request.method());
    }
    return encode_response(handler(request), request.method());
  } catch (std::exception const& error) {
    log_failure(500, request, error.what());
    return encode_response(plain_error(500), request.method());
  }
}

struct Phrase {
  int status;
  char const* text;
};
constexpr std::array kPhrases{
    Phrase{200, "OK"},
    Phrase{201, "Created"},
    Phrase{202, "Accepted"},
    Phrase{204, "No Content"},
    Phrase{207, "Multi-Status"},
    Phrase{301, "Moved Permanently"},
    Phrase{302, "Found"},
    Phrase{303, "See Other"},
    Phrase{304, "Not Modified"},
    Phrase{400, "Bad Request"},
    Phrase{401, "Unauthorized"},
    Phrase{403, "Forbidden"},
    Phrase{404, "Not Found"},
    Phrase{405, "Method Not Allowed"},
    Phrase{409, "Conflict"},
    Phrase{410, "Gone"},
    Phrase{413, "Content Too Large"},
    Phrase{415, "Unsupported Media Type"},
    Phrase{422, "Unprocessable Content"},
    Phrase{429, "Too Many Requests"},
    Phrase{500, "Internal Server Error"},
    Phrase{501, "Not Implemented"},
    Phrase{502, "Bad Gateway"},
    Phrase{503, "Service Unavailable"},
};

}  // namespace

std::string_view Request::param(std::string_view name) const {
  auto const found = params.find(name);
  return found == params.end() ? std::string_view() : std::string_view(found->second);
}

std::string_view Request::path() const {
  for (auto const* const name : {"DOCUMENT_URI", "PATH_INFO", "SCRIPT_NAME"}) {
    if (auto const value = param(name); !value.empty()) return value;
  }
  return {};
}

char const* reason_phrase(int status) noexcept {
  auto const* const found = std::find_if(kPhrases.begin(), kPhrases.end(),
                                         [status](Phrase const& phrase) { return phrase.status == status; });
  return found == kPhrases.end() ? "Unknown" : found->text;
}

Response plain_error(int status) { return {status, "text/plain", reason_phrase(status), {}}; }

std::string encode_response(Response const& response, std::string_view method) {
  if (response.status < 200 || response.status > 599)
    throw Error(Fault::internal, "answer: " + std::to_string(response.status) + " is no status");
  std::string out;
  add_header(out, "Status", std::to_string(response.status) + ' ' + reason_phrase(response.status));
  if (!response.content_type.empty()) add_header(out, "Content-Type", response.content_type);
  for (auto const& [name, value] : response.headers) add_header(out, name, value);
  bool const bodiless = response.status == 204 || response.status == 304;
  if (!bodiless) add_header(out, "Content-Length", std::to_string(response.body.size()));
  out += "\r\n";
  if (!bodiless && method != "HEAD") out += response.body;
  return out;
}

std::string answer(ServeOptions const& options, Handler const& handler, char const* const* env,
                   ReadBody const& read) noexcept {
  try {
    return answer_or_throw(options, handler, env, read);
  } catch (...) {  // no memory, or something that is no std::exception
    return "Status: 500 Internal Server Error\r\n\r\n";
  }
}

}  // namespace sys
