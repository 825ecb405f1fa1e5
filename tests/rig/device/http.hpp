// HTTP as an Apple device does it: TLS with a given trust store and, for MDM traffic, the device identity.
// One Http is one set of connections; close() ends them, as a device does after each session. Not for use by
// two threads at once. A transport failure is a device::Error; every HTTP status is a normal Reply.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace device {

struct Identity;

enum class Connection {
  fresh,    // a full handshake
  resumed,  // a new connection that resumed an earlier TLS session: no certificate was sent on it
  kept,
};
std::string name_of(Connection connection);

struct Reply {
  long status = 0;
  Connection connection = Connection::fresh;
  std::string content_type;  // exactly as received
  std::string body;
  bool ok() const { return status >= 200 && status < 300; }
};

struct Request {
  std::string phase;  // what it is counted under
  std::string method;
  std::string url;
  std::string user_agent;
  std::string body;
  std::vector<std::string> headers;  // "Name: value"
};

// Durations in seconds, and failures, by phase.
struct Sample {
  std::string phase;
  double seconds = 0;
  bool ok = false;
};
using Samples = std::vector<Sample>;

class Http {
 public:
  // trust: PEM certificates trusted beyond the system's; empty = the system's only. samples may be null.
  explicit Http(std::string trust, Samples* samples = nullptr);
  ~Http();
  Http(Http&&) noexcept;
  Http& operator=(Http&&) noexcept;
  void trust(std::string pem);
  void identity(const Identity* identity);  // null: present no client certificate
  Reply perform(const Request& request);
  void close();
  void resume();  // from now on every request opens a connection that resumes the TLS session of the last
  // Keeps every request and its reply there, for tests (secrets included): NUMBER-PHASE,
  // NUMBER-PHASE.headers, NUMBER-PHASE.reply.
  void record(std::string folder);

 private:
  struct Handle;
  void set_tls(void* curl) const;
  std::string start_recording(const Request& request);  // the file's name, empty when nothing is recorded
  std::unique_ptr<Handle> handle_;
  std::string trust_;
  std::string certificate_;
  std::string key_;
  std::string record_;
  int recorded_ = 0;
  bool resume_ = false;
  Samples* samples_;
};

void http_global_init();  // once, before the first thread

}  // namespace device
