// Where a configuration value comes from, and what is refused.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

#include "service/config.hpp"
#include "sys/error.hpp"
#include "sys/options.hpp"
#include "sys/text.hpp"

namespace {

class TemporaryFile {
 public:
  explicit TemporaryFile(std::string const& text)
      : path_(std::filesystem::temp_directory_path() / ("pomona-" + sys::hex(sys::random_bytes(8)))) {
    std::ofstream(path_) << text;
  }
  TemporaryFile(TemporaryFile const&) = delete;
  TemporaryFile& operator=(TemporaryFile const&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

sys::OptionTable table() {
  return {{{"color", "", "NAME", "red"}, {"shape", "", "NAME", ""}},
          {{"config", "", "FILE", ""}, {"loud", "", "", ""}},
          "POMONA_UT_",
          ""};
}

std::string error_of(std::vector<std::string> const& arguments) {
  try {
    sys::parse_options(table(), arguments);
  } catch (sys::Error const& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE(
    "the command line wins over the environment, the environment over the file, the file over the default") {
  TemporaryFile const file("# comment\n color = blue # why\nshape=round\n");
  std::vector<std::string> arguments{"--config", file.path()};
  CHECK(sys::parse_options(table(), {}).get("color") == "red");
  CHECK(sys::parse_options(table(), arguments).get("color") == "blue");
  CHECK(sys::parse_options(table(), arguments).get("shape") == "round");
  setenv("POMONA_UT_COLOR", "green", 1);
  CHECK(sys::parse_options(table(), arguments).get("color") == "green");
  arguments.emplace_back("--color=black");
  CHECK(sys::parse_options(table(), arguments).get("color") == "black");
  unsetenv("POMONA_UT_COLOR");
}

TEST_CASE("an unknown key is an error that names file and line") {
  TemporaryFile const file("color = blue\n\nsise = big\n");
  CHECK(error_of({"--config", file.path()}) == file.path() + ":3: unknown key sise");
}

TEST_CASE("an unknown, abbreviated or incomplete option is an error") {
  CHECK_FALSE(error_of({"--sise", "1"}).empty());
  CHECK_FALSE(error_of({"--colo", "1"}).empty());
  CHECK_FALSE(error_of({"--color"}).empty());
}

TEST_CASE("a key that stands twice, or a line without =, is an error") {
  TemporaryFile const twice("color = a\ncolor = b\n");
  CHECK(error_of({"--config", twice.path()}) == twice.path() + ":2: color stands twice");
  TemporaryFile const bare("color\n");
  CHECK(error_of({"--config", bare.path()}) == bare.path() + ":1: not of the form key = value");
}

TEST_CASE("a switch and positional arguments are told apart") {
  auto const parsed = sys::parse_options(table(), {"one", "--loud", "two"});
  CHECK(parsed.has("loud"));
  CHECK(parsed.positional == std::vector<std::string>{"one", "two"});
}

namespace {

service::Config config_of(std::vector<std::string> arguments) {
  sys::OptionTable const options{service::config_options(), {{"config", "", "FILE", ""}}, "POMONA_UT_", ""};
  return service::make_config(sys::parse_options(options, arguments), "pomona-mdm");
}

}  // namespace

TEST_CASE("server-url is required and gives the SCEP URL") {
  CHECK_THROWS_AS(config_of({}), sys::Error);
  auto const config = config_of({"--server-url", "https://mdm.example.org/"});
  CHECK(config.server_url == "https://mdm.example.org");
  CHECK(config.scep_url == "https://mdm.example.org/scep");
  CHECK(config.database_user == "pomona-mdm");
}

TEST_CASE("values that are not of their form are refused with the form") {
  std::vector<std::string> const url{"--server-url", "https://mdm.example.org"};
  for (std::string const wrong :
       {"--threads=0", "--threads=many", "--ticket-lifetime=soon", "--reenrollment=maybe",
        "--message-limit=16T", "--open-enrollment=true", "--scep-url=ftp://x"}) {
    INFO(wrong);
    CHECK_THROWS_AS(config_of({url[0], url[1], wrong}), sys::Error);
  }
  CHECK_THROWS_AS(config_of({"--server-url", "http://mdm.example.org"}), sys::Error);
}

TEST_CASE("POMONA_DATABASE, which a stack prints for its users, is no configuration key") {
  std::vector<std::string> const url{"--server-url", "https://mdm.example.org"};
  setenv("POMONA_UT_DATABASE", "another", 1);
  setenv("POMONA_UT_ORGANIZATION", "Somebody", 1);
  auto const config = config_of(url);
  unsetenv("POMONA_UT_DATABASE");
  unsetenv("POMONA_UT_ORGANIZATION");
  CHECK(config.database == "pomona");
  CHECK(config.organization == "Somebody");
}

TEST_CASE("%p in the password file's name stands for the program") {
  auto const config = config_of({"--server-url", "https://x", "--database-password-file", "/run/%p/db-%p"});
  CHECK(config.database_password_file == "/run/pomona-mdm/db-pomona-mdm");
}
