#include <catch2/catch.hpp>

#include "sys/error.hpp"
#include "sys/fcgi.hpp"
#include "sys/fcgi_message.hpp"

namespace {

// Runs one request with the given parameters and body through `answer`.
class Web {
 public:
  sys::ServeOptions options;
  sys::Handler handler = [](sys::Request const& request) {
    return sys::Response{200, "text/plain", request.body, {}};
  };

  std::string ask(std::vector<std::string> const& params, std::string body = {}) const {
    std::vector<char const*> env;
    for (auto const& param : params) env.push_back(param.c_str());
    env.push_back(nullptr);
    std::string_view rest = body;
    return sys::answer(options, handler, env.data(), [&rest](char* into, std::size_t size) {
      auto const part = rest.substr(0, size);
      part.copy(into, part.size());
      rest.remove_prefix(part.size());
      return part.size();
    });
  }

  std::string status(std::vector<std::string> const& params, std::string const& body = {}) const {
    return ask(params, body).substr(0, std::string_view("Status: 200").size());
  }
};

}  // namespace

TEST_CASE("An answer is a header block, an empty line and the body") {
  sys::Response const response{200, "text/html", "<p>", {{"Cache-Control", "no-store"}}};
  CHECK(
      sys::encode_response(response, "GET") ==
      "Status: 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-store\r\nContent-Length: 3\r\n\r\n<p>");
}

TEST_CASE("HEAD gets the length of the body and not the body") {
  CHECK(sys::encode_response({200, "", "four", {}}, "HEAD") == "Status: 200 OK\r\nContent-Length: 4\r\n\r\n");
}

TEST_CASE("An answer without content has neither body nor length") {
  CHECK(sys::encode_response({204, "", "ignored", {}}, "GET") == "Status: 204 No Content\r\n\r\n");
  CHECK(sys::encode_response({200, "", "", {}}, "GET") == "Status: 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST_CASE("A header that could forge another one is refused") {
  CHECK_THROWS_AS(sys::encode_response({200, "text/plain\r\nX: y", "", {}}, "GET"), sys::Error);
  CHECK_THROWS_AS(sys::encode_response({200, "", "", {{"Location", "/a\nX: y"}}}, "GET"), sys::Error);
  CHECK_THROWS_AS(sys::encode_response({200, "", "", {{"Location", std::string("a\0b", 3)}}}, "GET"),
                  sys::Error);
  CHECK_THROWS_AS(sys::encode_response({200, "", "", {{"Bad name", "x"}}}, "GET"), sys::Error);
  CHECK_THROWS_AS(sys::encode_response({200, "", "", {{"", "x"}}}, "GET"), sys::Error);
  CHECK_THROWS_AS(sys::encode_response({99, "", "", {}}, "GET"), sys::Error);
}

TEST_CASE("An error answer says its reason phrase and nothing else") {
  auto const response = sys::plain_error(503);
  CHECK(response.status == 503);
  CHECK(response.body == "Service Unavailable");
  CHECK(response.content_type == "text/plain");
}

TEST_CASE("The body must be as long as announced and within the limit") {
  Web web;
  web.options.body_limit = 5;
  CHECK(web.status({"CONTENT_LENGTH=5"}, "12345") == "Status: 200");
  CHECK(web.status({"CONTENT_LENGTH="}) == "Status: 200");
  CHECK(web.status({}) == "Status: 200");
  CHECK(web.status({"CONTENT_LENGTH=5"}, "1234") == "Status: 400");
  CHECK(web.status({"CONTENT_LENGTH=6"}, "123456") == "Status: 413");
  CHECK(web.status({"CONTENT_LENGTH=99999999999999999999999"}) == "Status: 413");
  for (auto const* length : {"x", "-1", "+1", "1 ", " 1", "0x1", "1.0"}) {
    CAPTURE(length);
    CHECK(web.status({std::string("CONTENT_LENGTH=") + length}, "1") == "Status: 400");
  }
}

TEST_CASE("A body of several megabytes arrives unchanged") {
  Web web;
  web.options.body_limit = 16U << 20U;
  std::string body;
  for (std::size_t i = 0; body.size() < 5'000'001; ++i) body += std::to_string(i);
  CHECK(web.ask({"CONTENT_LENGTH=" + std::to_string(body.size())}, body).ends_with("\r\n\r\n" + body));
}

TEST_CASE("Parameters are bounded in number and in size") {
  Web const web;
  std::vector<std::string> params(256, "A=1");
  CHECK(web.status(params) == "Status: 200");
  params.emplace_back("B=1");
  CHECK(web.status(params) == "Status: 400");
  CHECK(web.status({"A=" + std::string((512U << 10U) - 2, 'x')}) == "Status: 200");
  CHECK(web.status({"A=" + std::string((512U << 10U) - 1, 'x')}) == "Status: 400");
}

TEST_CASE("Without the gate secret no request reaches the handler, and the handler never sees it") {
  Web web;
  int calls = 0;
  web.handler = [&calls](sys::Request const& request) {
    ++calls;
    CHECK(request.params.count("POMONA_GATE") == 0);
    return sys::Response{};
  };
  web.options.gate = sys::SecretBytes("secret");
  CHECK(web.status({"POMONA_GATE=secret"}) == "Status: 200");
  for (auto const* wrong :
       {"POMONA_GATE=", "POMONA_GATE=secre", "POMONA_GATE=secret2", "HTTP_POMONA_GATE=secret"}) {
    CHECK(web.status({wrong}) == "Status: 403");
  }
  CHECK(web.status({}) == "Status: 403");
  CHECK(calls == 1);
  web.options.gate = {};
  CHECK(web.status({"POMONA_GATE=whatever"}) == "Status: 200");
}

TEST_CASE("Whatever escapes a handler is answered 500") {
  Web web;
  web.handler = [](sys::Request const&) -> sys::Response { throw sys::Error(sys::Fault::bad_request, "no"); };
  CHECK(web.ask({}).ends_with("\r\n\r\nInternal Server Error"));
  web.handler = [](sys::Request const&) -> sys::Response { throw 1; };
  CHECK(web.status({}) == "Status: 500");
  web.handler = [](sys::Request const&) { return sys::Response{200, "a\nb", "", {}}; };
  CHECK(web.status({}) == "Status: 500");
}

TEST_CASE("The path is the document URI, or script name and path info together") {
  Web web;
  web.handler = [](sys::Request const& request) {
    return sys::Response{200, "", std::string(request.path()), {}};
  };
  CHECK(web.ask({"DOCUMENT_URI=/mdm", "SCRIPT_NAME=/x", "PATH_INFO=/y"}).ends_with("\r\n\r\n/mdm"));
  CHECK(web.ask({"SCRIPT_NAME=/cgi/mdm", "PATH_INFO=/file"}).ends_with("\r\n\r\n/cgi/mdm/file"));
}

TEST_CASE("A parameter that is set twice has its later value, and a client's Proxy header is dropped") {
  Web web;
  web.handler = [](sys::Request const& request) {
    return sys::Response{
        200, "", std::string(request.param("A")) + "," + std::string(request.param("HTTP_PROXY")), {}};
  };
  CHECK(web.ask({"A=1", "A=2=3", "HTTP_PROXY=http://evil", "NOVALUE"}).ends_with("\r\n\r\n2=3,"));
}
