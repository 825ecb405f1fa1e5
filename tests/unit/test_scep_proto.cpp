// What a SCEP request says before any cryptography: RFC 8894 section 4, and how clients really write it.
#include <catch2/catch.hpp>

#include "proto/scep.hpp"
#include "sys/error.hpp"

using proto::decode_scep_request;
using proto::ScepOperation;

TEST_CASE("a GET names its operation in the exact case") {
  CHECK(decode_scep_request("GET", "operation=GetCACaps", "").operation == ScepOperation::get_ca_caps);
  CHECK(decode_scep_request("GET", "message=&operation=GetCACaps&x", "").operation ==
        ScepOperation::get_ca_caps);
  CHECK(decode_scep_request("HEAD", "operation=GetCACert&message=any", "").operation ==
        ScepOperation::get_ca_cert);
  for (auto const* query : {"", "operation", "operation=", "operation=getcacaps", "Operation=GetCACaps",
                            "operation=GetCACaps2", "xoperation=GetCACaps"}) {
    CAPTURE(query);
    CHECK_THROWS_AS(decode_scep_request("GET", query, ""), sys::Error);
  }
}

TEST_CASE("a message in a GET is percent-decoded only, its white space dropped, then base64") {
  auto const message = [](std::string const& text) {
    return decode_scep_request("GET", "operation=PKIOperation&message=" + text, "").message;
  };
  std::string const bytes("\xfb\xff\xfe\x00\x10", 5);  // +//+ABA=
  CHECK(message("+//+ABA%3D") == bytes);
  CHECK(message("%2B%2f%2F%2BABA=") == bytes);
  CHECK(message("+//%0A+AB%0d%0aA%20=") == bytes);
  for (auto const* bad : {"", "%", "%4", "%zz", "-__-", "AAAA=AAA", "A"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(message(bad), sys::Error);
  }
}

TEST_CASE("a POST is a PKIOperation whether or not its query says so, and never empty") {
  CHECK(decode_scep_request("POST", "", "bytes").message == "bytes");
  CHECK(decode_scep_request("POST", "operation=PKIOperation", "bytes").message == "bytes");
  CHECK_THROWS_AS(decode_scep_request("POST", "operation=PKIOperation", ""), sys::Error);
  CHECK_THROWS_AS(decode_scep_request("POST", "operation=GetCACaps", "bytes"), sys::Error);
  CHECK_THROWS_AS(decode_scep_request("PUT", "operation=PKIOperation", "bytes"), sys::Error);
  CHECK_THROWS_AS(decode_scep_request("HEAD", "operation=PKIOperation&message=AAAA", ""), sys::Error);
}

TEST_CASE("a transactionID is PrintableString of 1 to 255 bytes") {
  CHECK(proto::is_transaction_id("A1B2"));
  CHECK(proto::is_transaction_id("Zm9v+/= '()-.:,?"));
  CHECK(proto::is_transaction_id(std::string(255, '7')));
  CHECK_FALSE(proto::is_transaction_id(std::string(256, '7')));
  for (auto const* bad : {"", "a@b", "a_b", "a*b", "a&b", "a\nb", "\xc3\xa4", "a\"b"}) {
    CAPTURE(bad);
    CHECK_FALSE(proto::is_transaction_id(bad));
  }
}

TEST_CASE("message types and failures have RFC 8894's numbers") {
  CHECK(proto::parse_scep_message_type("19") == proto::ScepMessageType::pkcs_req);
  CHECK(proto::parse_scep_message_type("17") == proto::ScepMessageType::renewal_req);
  for (auto const* unknown : {"", "1", "18", "019", "19 ", "-19"})
    CHECK_FALSE(proto::parse_scep_message_type(unknown).has_value());
  CHECK(proto::fail_info_digit(proto::FailInfo::bad_alg) == "0");
  CHECK(proto::fail_info_digit(proto::FailInfo::bad_cert_id) == "4");
  CHECK(proto::fail_info_name(proto::FailInfo::bad_request) == "badRequest");
}
