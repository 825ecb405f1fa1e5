#include "load_connection.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bench {
namespace {

constexpr std::size_t chunk = std::size_t{16} << 10U;

std::runtime_error failure(const std::string& what) {
  const unsigned long code = ERR_get_error();
  std::array<char, 200> text{};
  if (code != 0) ERR_error_string_n(code, text.data(), text.size());
  return std::runtime_error(what + ": " + (code != 0 ? text.data() : std::strerror(errno)));
}

// The value of a header, whose name is given in lower case; "" when it is absent.
std::string_view header(std::string_view head, std::string_view name) {
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos; at = head.find("\r\n", at + 2)) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() <= name.size() || line[name.size()] != ':') continue;
    bool same = true;
    for (std::size_t i = 0; i < name.size() && same; ++i) same = (line[i] | 0x20) == name[i];
    if (same) return line.substr(line.find_first_not_of(' ', name.size() + 1));
  }
  return {};
}

int number(std::string_view text) {
  int value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

Context make_context(const std::string& trust, const std::string& certificate, const std::string& key) {
  Context context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_load_verify_file(context.get(), trust.c_str()) != 1)
    throw failure("trust " + trust);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (certificate == "-") return context;
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1)
    throw failure("client certificate " + certificate);
  return context;
}

Connection::Connection(std::string address, int port, SSL_CTX* context)
    : address_(std::move(address)), port_(port), context_(context) {
  open();
  reopened_ = false;
}

Connection::~Connection() { shut(); }

void Connection::shut() {
  session_.reset();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Connection::open() {
  shut();
  closing_ = false;
  reopened_ = true;
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<std::uint16_t>(port_));
  ::inet_pton(AF_INET, address_.c_str(), &where.sin_addr);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&where), sizeof where) != 0) throw failure("connect");
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (context_ != nullptr) {
    session_.reset(SSL_new(context_));
    SSL_set_fd(session_.get(), fd_);
    if (SSL_connect(session_.get()) != 1) throw failure("TLS handshake");
  }
  ::fcntl(fd_, F_SETFL, O_NONBLOCK);
}

bool Connection::reopened() { return std::exchange(reopened_, false); }

void Connection::send(std::string_view request) {
  if (closing_ || fd_ < 0) open();
  received_.clear();
  unsent_ = request;
  if (!push()) closing_ = true;
}

bool Connection::push() {
  while (!unsent_.empty()) {
    std::size_t sent = 0;
    if (session_) {
      if (SSL_write_ex(session_.get(), unsent_.data(), unsent_.size(), &sent) != 1) {
        const int why = SSL_get_error(session_.get(), 0);
        ERR_clear_error();
        return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ;
      }
    } else {
      const ssize_t done = ::send(fd_, unsent_.data(), unsent_.size(), MSG_NOSIGNAL);
      if (done < 0) return errno == EAGAIN || errno == EINTR;
      sent = static_cast<std::size_t>(done);
    }
    unsent_.remove_prefix(sent);
  }
  return true;
}

bool Connection::pull() {
  std::array<char, chunk> buffer{};
  while (true) {
    std::size_t got = 0;
    if (session_) {
      if (SSL_read_ex(session_.get(), buffer.data(), buffer.size(), &got) != 1) {
        const int why = SSL_get_error(session_.get(), 0);
        ERR_clear_error();
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
      }
    } else {
      const ssize_t done = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (done < 0) return errno == EAGAIN || errno == EINTR;
      if (done == 0) return false;
      got = static_cast<std::size_t>(done);
    }
    received_.append(buffer.data(), got);
    if (got < buffer.size() && (!session_ || SSL_pending(session_.get()) == 0)) return true;
  }
}

bool Connection::whole(Answer& answer) {
  const std::string_view all(received_);
  const std::size_t end = all.find("\r\n\r\n");
  if (end == std::string_view::npos || all.size() < 12) return false;
  const std::string_view head = all.substr(0, end + 2);
  const std::string_view body = all.substr(end + 4);
  if (const auto length = header(head, "content-length"); !length.empty()) {
    if (static_cast<int>(body.size()) < number(length)) return false;
  } else if (header(head, "transfer-encoding") == "chunked") {
    if (!body.ends_with("0\r\n\r\n")) return false;
  }
  answer = {number(all.substr(9, 3)), body};
  closing_ = header(head, "connection") == "close";
  return true;
}

bool Connection::advance(Answer& answer) {
  answer = {};
  if (closing_ || !push()) return closing_ = true;
  if (!unsent_.empty()) return false;
  const bool open = pull();
  if (whole(answer)) {
    closing_ = closing_ || !open;
    return true;
  }
  if (!open) closing_ = true;
  return !open;
}

}  // namespace bench
