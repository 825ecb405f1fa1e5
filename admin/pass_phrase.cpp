#include <iostream>

#include <termios.h>
#include <unistd.h>

#include "push_cert.hpp"
#include "sys/error.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

namespace admin {

namespace {

// What is typed is not shown, and is again when this ends.
class NoEcho {
 public:
  NoEcho() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    ::termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
  }
  NoEcho(NoEcho const&) = delete;
  NoEcho& operator=(NoEcho const&) = delete;
  ~NoEcho() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }

 private:
  ::termios before_{};
  bool changed_ = false;
};

}  // namespace

sys::OptionSpec password_file_option() {
  return {"password-file", "file with the pass phrase of the key or .p12; else it is asked for on a terminal",
          "FILE", ""};
}

sys::SecretBytes ask_pass_phrase(Context& context, std::string const& file) {
  if (context.has("password-file")) return sys::read_secret_file(context.option("password-file"));
  if (::isatty(STDIN_FILENO) == 0) {
    throw sys::Error(
        sys::Fault::bad_request,
        "read " + file +
            ": its private key is encrypted with a pass phrase (a PKCS#12 file always is); put that "
            "into a file and name it with --password-file, or run this on a terminal");
  }
  std::string typed;
  {
    NoEcho const quiet;  // before anything is asked: what was typed earlier is thrown away with it
    std::cerr << "Pass phrase of " << sys::escape_controls(file) << ": " << std::flush;
    std::getline(std::cin, typed);
  }
  std::cerr << '\n';
  sys::SecretBytes phrase(typed);
  sys::wipe(typed);
  return phrase;
}

}  // namespace admin
