// One HTTP/1.1 connection that is kept alive, over TLS or plain, one request at a time. Opened at once
// (blocking); from then on it never blocks. A connection that the server closed after an answer is opened
// again by send(). Errors: std::runtime_error when it cannot be opened; everything later is an answer with
// status 0.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

namespace bench {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSession {
  void operator()(SSL* session) const { SSL_free(session); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;
using Session = std::unique_ptr<SSL, FreeSession>;

// A context that trusts `trust` and shows the certificate, if it is not "-".
Context make_context(const std::string& trust, const std::string& certificate, const std::string& key);

struct Answer {
  int status = 0;  // 0: the connection ended or what came was no HTTP
  std::string_view body;
};

class Connection {
 public:
  // context may be null: plain HTTP. It must outlive the connection.
  Connection(std::string address, int port, SSL_CTX* context);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  int fd() const { return fd_; }
  void send(std::string_view request);  // which must live until the answer is there
  // Goes on with what is under way. True: the answer is whole; it is valid until the next send().
  bool advance(Answer& answer);
  bool wants_to_write() const { return !unsent_.empty(); }
  void forsake() { closing_ = true; }  // the server has closed it: send() opens it again
  bool reopened();                     // since the last call: fd() is another one

 private:
  void open();
  void shut();
  bool push();  // false: broken
  bool pull();  // false: broken or ended
  bool whole(Answer& answer);

  std::string address_;
  int port_;
  SSL_CTX* context_;
  Session session_;
  int fd_ = -1;
  bool closing_ = false, reopened_ = false;
  std::string_view unsent_;
  std::string received_;
};

}  // namespace bench
