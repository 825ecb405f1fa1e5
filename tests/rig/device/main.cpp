// pomona-device: simulated Apple devices, one or thousands, for tests and try-outs.
//
// SECURITY: the state folder holds a private key, PushMagic and unlock token of a device that manages
// nothing; it is made with mode 0700 and none of these is ever printed. The program believes what its server
// tells it as far as a real device does, and runs nothing of what it receives.
#include <iostream>

#include <boost/program_options.hpp>

#include "error.hpp"
#include "http.hpp"
#include "options.hpp"

namespace {

namespace po = boost::program_options;
using device::Options;

constexpr int usage_error = 2;

const char* const synopsis = R"(Usage: pomona-device COMMAND [OPTION...]

  enroll --url URL --state DIR            fetch the profile, get an identity, Authenticate, TokenUpdate
  poll   --state DIR                      one session: Idle, then answer commands until there are none
  wait   --state DIR --apns-log FILE      poll as soon as the APNs stand-in's log has a push for this device
  send   --state DIR MESSAGE              one message (Authenticate, TokenUpdate, CheckOut, SetBootstrapToken,
                                          GetBootstrapToken, UserAuthenticate, Idle, ...); prints status and body
  fleet  --url URL --count N              many devices: counts, requests per second, latency percentiles
  live   --url URL --count N              many devices that go on until SIGTERM and take failures as devices do

Exit code: 0 all well, 1 something was refused or failed, 2 wrong usage.
)";

po::options_description enrolment_options(Options& o) {
  po::options_description options("Enrolling (enroll, fleet)");
  options.add_options()                                                                   //
      ("url", po::value(&o.url), "profile: https URL, file:// URL or path")               //
      ("ca-file", po::value(&o.ca_file), "PEM that stands for the system's trust store")  //
      ("keys", po::value(&o.keys), "pool folder of RSA keys kept between runs")           //
      ("kind", po::value(&o.kind), "mac (default) or iphone")                             //
      ("udid", po::value(&o.udid), "instead of a made-up one")                            //
      ("serial", po::value(&o.serial), "instead of a made-up one")                        //
      ("user", po::value(&o.user), "also open a channel for this user (mac)")             //
      ("scep-segment", po::value(&o.scep_segment),
       "longest piece of a BER string in SCEP messages (65536)")                                           //
      ("awaiting", po::bool_switch(&o.awaiting), "AwaitingConfiguration, as in Setup Assistant")           //
      ("signature-form", po::value(&o.signature_form), "Mdm-Signature: apple (default), attrs or sha256")  //
      ("no-client-certificate", po::bool_switch(&o.no_client_certificate), "rely on Mdm-Signature alone");
  return options;
}

po::options_description session_options(Options& o) {
  po::options_description options("Sessions (poll, wait, send, fleet)");
  options.add_options()                                                                                  //
      ("state", po::value(&o.state), "the device's folder; fleet: a folder of such folders")             //
      ("user-channel", po::bool_switch(&o.user_channel), "act on the user's channel")                    //
      ("not-now", po::value<std::string>(), "request types to answer NotNow, comma-separated")           //
      ("error", po::value<std::string>(), "request types to answer Error, comma-separated")              //
      ("ignore", po::value<std::string>(), "request types at which the session ends without an answer")  //
      ("quiet-renewal", po::bool_switch(&o.quiet_renewal),
       "no Authenticate and TokenUpdate after a renewal")  //
      ("old-session", po::value(&o.old_session),
       "kept or resumed: the session goes on after a renewal over a connection that shows the old "
       "identity")  //
      ("clock-skew", po::value(&o.clock_skew),
       "seconds that the signing time is off (--signature-form attrs)")                                     //
      ("apns-log", po::value(&o.apns_log), "log of the APNs stand-in (JSON lines)")                         //
      ("timeout", po::value(&o.timeout), "seconds to wait for a push (30)")                                 //
      ("data", po::value(&o.data), "send: the bootstrap token, or a plist whose keys go into the message")  //
      ("set", po::value(&o.set)->composing(), "send: KEY=TEXT into the message; KEY= leaves it out")        //
      ("body", po::value(&o.body), "send: this file is the body; MESSAGE `command` sends it to ServerURL")  //
      ("headers", po::value(&o.headers), "send: these lines (as --record keeps them) are the headers")      //
      ("identity", po::value(&o.identity), "with the identity of the device in this folder")                //
      ("old-identity", po::bool_switch(&o.old_identity), "with the identity before the last renewal")       //
      ("no-identity", po::bool_switch(&o.no_identity), "send: neither client certificate nor signature");
  return options;
}

po::options_description fleet_options(Options& o) {
  po::options_description options("Fleets");
  options.add_options()                                                                                //
      ("count", po::value(&o.count), "number of devices")                                              //
      ("parallel", po::value(&o.parallel), "threads (4)")                                              //
      ("rounds", po::value(&o.rounds), "sessions of each device after enrolling (1)")                  //
      ("idle-only", po::bool_switch(&o.idle_only), "use the devices in --state instead of enrolling")  //
      ("keep-alive", po::bool_switch(&o.keep_alive), "keep connections between sessions")              //
      ("journal", po::value(&o.journal),
       "live: write what was sent and answered to this file (JSON lines)")                               //
      ("every", po::value(&o.every), "live: seconds between the sessions of a device, on average (10)")  //
      ("seed", po::value(&o.seed), "live: of what the devices do at random (1)")                         //
      ("calm", po::bool_switch(&o.calm), "live: nothing at random, every command is done at once")       //
      ("mood", po::value(&o.moods)->composing(),
       "live: NAME=NUMBER, how often (0 to 1) a device does not-now, error, repeat, abandon, enrol, leave, "
       "other-key, "
       "quiet")  //
      ("check-out", po::bool_switch(&o.check_out), "live: every device checks out at the end");
  return options;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    if (comma > at) parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

// Empty: --help or --version was asked for and answered.
bool parse(int argc, char** argv, Options& o) {
  po::options_description visible("Options");
  visible.add_options()                                                            //
      ("json", po::bool_switch(&o.json), "result as JSON on stdout, for scripts")  //
      ("record", po::value(&o.record), "keep every request and reply in this folder (secrets included)")(
          "help", "this text")("version", "the version");
  visible.add(enrolment_options(o)).add(session_options(o)).add(fleet_options(o));
  po::options_description all;
  all.add(visible).add_options()("command", po::value(&o.command))("message", po::value(&o.message));
  po::positional_options_description positional;
  positional.add("command", 1).add("message", 1);
  po::variables_map given;
  const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
  po::store(po::command_line_parser(argc, argv).options(all).positional(positional).style(style).run(),
            given);
  po::notify(given);
  if (given.count("not-now") != 0) o.not_now = split(given["not-now"].as<std::string>());
  if (given.count("error") != 0) o.error = split(given["error"].as<std::string>());
  if (given.count("ignore") != 0) o.ignore = split(given["ignore"].as<std::string>());
  if (given.count("help") != 0) std::cout << synopsis << '\n' << visible;
  if (given.count("version") != 0) std::cout << "pomona-device " << POMONA_VERSION << '\n';
  return given.count("help") == 0 && given.count("version") == 0;
}

void require(const std::string& value, const char* option) {
  if (value.empty()) throw po::error(std::string("the option '--") + option + "' is required here");
}

using Run = int (*)(const Options&);

Run choose(const Options& o) {
  if (o.command == "fleet") {
    require(o.idle_only ? o.state : o.url, o.idle_only ? "state" : "url");
    if (!o.idle_only && o.count <= 0) throw po::error("the option '--count' is required here");
    if (o.parallel <= 0 || o.rounds < 0) throw po::error("--parallel and --rounds must not be negative");
    return device::fleet_command;
  }
  if (o.command == "live") {
    require(o.url, "url");
    if (o.count <= 0 || o.parallel <= 0 || o.every <= 0)
      throw po::error("--count, --parallel and --every must be positive");
    return device::live_command;
  }
  if (o.command != "send" && !o.message.empty()) throw po::error("unexpected argument '" + o.message + "'");
  if (o.command != "enroll" && o.command != "poll" && o.command != "wait" && o.command != "send")
    throw po::error(o.command.empty() ? "a command is missing" : "unknown command '" + o.command + "'");
  require(o.state, "state");
  if (o.command == "enroll") require(o.url, "url");
  if (o.command == "wait") require(o.apns_log, "apns-log");
  if (o.command == "send" && o.message.empty()) throw po::error("the message to send is missing");
  if (o.command == "enroll") return device::enroll_command;
  if (o.command == "poll") return device::poll_command;
  return o.command == "wait" ? device::wait_command : device::send_command;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  try {
    if (!parse(argc, argv, options)) return 0;
    const Run run = choose(options);
    device::http_global_init();
    return run(options);
  } catch (const po::error& error) {
    std::cerr << "pomona-device: " << error.what() << "\nTry: pomona-device --help\n";
    return usage_error;
  } catch (const std::exception& error) {
    std::cerr << "pomona-device: " << error.what() << '\n';
    return 1;
  }
}
