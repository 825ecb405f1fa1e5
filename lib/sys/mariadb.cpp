#include "sys/mariadb.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <utility>

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>

#include "sys/mariadb_detail.hpp"
#include "sys/text.hpp"

namespace sys {

namespace {

using detail::ActAs;
using detail::Binding;
using detail::fault_of;
using detail::gist;
using detail::lost;
using detail::Probe;
using detail::retryable;

constexpr int kAttempts = 5;
constexpr std::uint64_t kRequiredPacket = 64U << 20U;
// Header of the execute packet, NULL bitmap, types and lengths of all parameters.
constexpr std::uint64_t kPacketOverhead = 64U << 10U;

struct CloseConnection {
  void operator()(MYSQL* connection) const noexcept { mysql_close(connection); }
};
struct CloseStatement {
  void operator()(MYSQL_STMT* statement) const noexcept { mysql_stmt_close(statement); }
};
using Connection = std::unique_ptr<MYSQL, CloseConnection>;
using Statement = std::unique_ptr<MYSQL_STMT, CloseStatement>;
using Clock = std::chrono::steady_clock;

void back_off(int attempt) {
  thread_local std::minstd_rand engine{std::random_device{}()};
  std::uniform_int_distribution<int> jitter(1, 20 * (attempt + 1));
  std::this_thread::sleep_for(std::chrono::milliseconds(jitter(engine)));
}

}  // namespace

struct Db::State {
  explicit State(DbOptions opts) : options(std::move(opts)) {}

  DbOptions options;
  Connection connection;
  std::map<std::string, Statement, std::less<>> statements;
  std::uint64_t round_trips = 0;
  std::uint64_t packet = 0;
  bool in_transaction = false;
  bool broken = false;
  bool repeating = false;
  Clock::time_point began;  // the statement under way
  Clock::duration allowed = Clock::duration::max();
  Clock::duration spent{};  // since limit_time()
  bool counting = false;
  unsigned last_code = 0;

  // While one lives, time is the database's; what its user does in between is not.
  class Spending {
   public:
    explicit Spending(State& state) : state_(state), outer_(!std::exchange(state.counting, true)) {}
    Spending(Spending const&) = delete;
    Spending& operator=(Spending const&) = delete;
    ~Spending() {
      if (!outer_) return;
      state_.counting = false;
      state_.spent += Clock::now() - began_;
    }

   private:
    State& state_;
    bool outer_;
    Clock::time_point began_ = Clock::now();
  };

  [[nodiscard]] bool waited(unsigned most) const {
    constexpr std::chrono::milliseconds kEarly{50};  // that a time-out may come
    return Clock::now() - began + kEarly >= std::chrono::seconds(most);
  }

  [[noreturn]] void fail(std::string const& doing, unsigned code, char const* text) {
    last_code = code;
    broken = broken || lost(code);
    if (lost(code) && waited(options.reply_seconds)) Probe::silent();
    throw Error(fault_of(code), "database: " + doing + ": " + text + " (" + std::to_string(code) + ')');
  }

  [[nodiscard]] bool late() const { return spent > allowed; }

  // Before anything is sent.
  void begin(std::string_view sql) {
    began = Clock::now();
    if (!late()) return;
    last_code = 0;
    throw Error(Fault::unavailable,
                "database: " + gist(sql) + ": not begun, the database has used up the time of this request");
  }

  void close() {
    statements.clear();
    connection.reset();
    broken = false;
  }

  void connect() {
    close();
    Spending const spending(*this);
    Probe const probe;
    if (!probe.allowed())
      throw Error(Fault::unavailable, "database: it does not answer; another thread asks whether it is back");
    Connection fresh(mysql_init(nullptr));
    if (!fresh) throw Error(Fault::internal, "database: out of memory");
    detail::prepare_session(fresh.get(), options);
    began = Clock::now();
    ActAs const acting(options);
    char const* password = options.password.empty() ? nullptr : options.password.str().c_str();
    if (mysql_real_connect(fresh.get(), nullptr, options.user.c_str(), password, options.database.c_str(), 0,
                           options.socket.c_str(), CLIENT_FOUND_ROWS) == nullptr) {
      unsigned const code = mysql_errno(fresh.get());
      last_code = code;
      if (waited(options.connect_seconds)) Probe::silent();
      std::string const who = "database: connect as " + options.user + " through " + options.socket + ": ";
      throw Error(detail::login_refused(code) ? Fault::internal : Fault::unavailable,
                  who + mysql_error(fresh.get()));
    }
    connection = std::move(fresh);
    try {
      read_packet_size();
    } catch (...) {
      close();
      throw;
    }
    Probe::answered();
  }

  void read_packet_size() {
    auto rows = run("SELECT @@max_allowed_packet", {}, true);
    packet = static_cast<std::uint64_t>(rows.rows.at(0).integer(0));
    if (packet < kRequiredPacket) {
      throw Error(Fault::internal,
                  "database: max_allowed_packet is " + std::to_string(packet) +
                      "; set it to 64M in MariaDB's configuration: device reports can be that large");
    }
  }

  struct Result {
    DbRows rows;
    std::uint64_t affected = 0;
    std::uint64_t insert_id = 0;
  };

  MYSQL_STMT* prepared(std::string_view sql) {
    auto found = statements.find(sql);
    if (found != statements.end()) return found->second.get();
    Statement statement(mysql_stmt_init(connection.get()));
    if (!statement) throw Error(Fault::internal, "database: out of memory");
    ++round_trips;
    if (mysql_stmt_prepare(statement.get(), sql.data(), static_cast<unsigned long>(sql.size())) != 0) {
      fail(gist(sql), mysql_stmt_errno(statement.get()), mysql_stmt_error(statement.get()));
    }
    my_bool const on = 1;
    mysql_stmt_attr_set(statement.get(), STMT_ATTR_UPDATE_MAX_LENGTH, &on);
    return statements.emplace(std::string(sql), std::move(statement)).first->second.get();
  }

  Result run(std::string_view sql, DbParams const& params, bool uncounted = false) {
    begin(sql);
    Spending const spending(*this);
    MYSQL_STMT* statement = prepared(sql);
    if (mysql_stmt_param_count(statement) != params.size()) {
      throw Error(Fault::internal, "database: " + gist(sql) + ": wrong number of parameters");
    }
    Binding binding(params);
    if (packet > 0 && binding.bytes() + kPacketOverhead > packet) {
      throw Error(Fault::internal, "database: " + gist(sql) + ": " + std::to_string(binding.bytes()) +
                                       " bytes are more than max_allowed_packet allows");
    }
    if (!params.empty()) mysql_stmt_bind_param(statement, binding.data());
    if (!uncounted) ++round_trips;
    if (mysql_stmt_execute(statement) != 0) fail_statement(sql, statement);
    Result result;
    result.affected = mysql_stmt_affected_rows(statement);
    result.insert_id = mysql_stmt_insert_id(statement);
    if (mysql_stmt_field_count(statement) > 0) result.rows = fetch(sql, statement);
    drain(sql, statement);
    return result;
  }

  [[noreturn]] void fail_statement(std::string_view sql, MYSQL_STMT* statement) {
    unsigned const code = mysql_stmt_errno(statement);
    std::string const text = mysql_stmt_error(statement);
    // A statement that failed half way may still hold a result; a fresh one is cheaper than proving that it
    // does not.
    auto const found = statements.find(sql);
    if (found != statements.end() && code != ER_DUP_ENTRY) statements.erase(found);
    fail(gist(sql), code, text.c_str());
  }

  DbRows fetch(std::string_view sql, MYSQL_STMT* statement) {
    if (mysql_stmt_store_result(statement) != 0) fail_statement(sql, statement);
    std::unique_ptr<MYSQL_RES, void (*)(MYSQL_RES*)> metadata(mysql_stmt_result_metadata(statement),
                                                              mysql_free_result);
    unsigned const count = mysql_stmt_field_count(statement);
    std::vector<MYSQL_BIND> binds(count);
    std::vector<std::string> buffers(count);
    std::vector<unsigned long> lengths(count);
    std::vector<my_bool> nulls(count);
    for (unsigned i = 0; i < count; ++i) {
      // Numbers and times have a max_length of their binary form: give their text room.
      constexpr unsigned long kTextOfNumber = 64;
      buffers[i].resize(
          std::max<unsigned long>(mysql_fetch_field_direct(metadata.get(), i)->max_length, kTextOfNumber));
      std::memset(&binds[i], 0, sizeof binds[i]);
      binds[i].buffer_type = MYSQL_TYPE_STRING;
      binds[i].buffer = buffers[i].data();
      binds[i].buffer_length = static_cast<unsigned long>(buffers[i].size());
      binds[i].length = &lengths[i];
      binds[i].is_null = &nulls[i];
    }
    mysql_stmt_bind_result(statement, binds.data());
    DbRows rows;
    int code = 0;
    while ((code = mysql_stmt_fetch(statement)) == 0) {
      std::vector<std::optional<std::string>> columns(count);
      for (unsigned i = 0; i < count; ++i) {
        if (nulls[i] == 0) columns[i].emplace(buffers[i], 0, lengths[i]);
      }
      rows.emplace_back(std::move(columns));
    }
    if (code != MYSQL_NO_DATA) fail_statement(sql, statement);
    mysql_stmt_free_result(statement);
    return rows;
  }

  // A CALL ends with a result set of its own status; errors after the first result set show up here.
  void drain(std::string_view sql, MYSQL_STMT* statement) {
    while (true) {
      int const next = mysql_stmt_next_result(statement);
      if (next > 0) fail_statement(sql, statement);
      if (next < 0) return;
      if (mysql_stmt_field_count(statement) > 0) mysql_stmt_store_result(statement);
      mysql_stmt_free_result(statement);
    }
  }

  void plain(char const* sql) {
    begin(sql);
    Spending const spending(*this);
    ++round_trips;
    if (mysql_query(connection.get(), sql) != 0)
      fail(sql, mysql_errno(connection.get()), mysql_error(connection.get()));
  }

  // Between requests a connection that died in the meantime (restart, wait_timeout) is replaced. Not where
  // the server may have done the statement.
  template <typename Step>
  auto with_reconnect(Step&& step) {
    if (in_transaction) return step();
    if (!connection || broken || Probe::is_silent()) connect();
    try {
      return step();
    } catch (Error const&) {
      if (!broken || !detail::never_done(last_code) || late()) throw;
      connect();
      return step();
    }
  }

  void rollback() noexcept {
    in_transaction = false;
    if (!connection || broken) return;
    Spending const spending(*this);
    // No time to ask: the server rolls back what a closed connection leaves.
    if (late() || mysql_query(connection.get(), "ROLLBACK") != 0) close();
  }

  // One statement that is no part of a larger unit is a unit itself.
  template <typename Step>
  auto alone(Step&& step) {
    if (in_transaction || repeating) return with_reconnect(step);
    std::optional<std::invoke_result_t<Step&>> result;
    repeat([&] { result.emplace(with_reconnect(step)); });
    return std::move(*result);
  }

  template <typename Work>
  void repeat(Work&& work) {
    for (int attempt = 1;; ++attempt) {
      last_code = 0;
      repeating = true;
      try {
        work();
        repeating = false;
        return;
      } catch (Error const& error) {
        repeating = false;
        bool const again = error.fault() == Fault::unavailable && retryable(last_code) && attempt < kAttempts;
        if (!again || late()) throw;
      } catch (...) {
        repeating = false;
        throw;
      }
      Spending const spending(*this);
      back_off(attempt);
    }
  }
};

Db::Db(DbOptions options) : state_(std::make_unique<State>(std::move(options))) {}
Db::Db(Db&&) noexcept = default;
Db& Db::operator=(Db&&) noexcept = default;
Db::~Db() = default;

DbRows Db::query(std::string_view sql, DbParams const& params) {
  return state_->alone([&] { return state_->run(sql, params); }).rows;
}

std::optional<DbRow> Db::query_row(std::string_view sql, DbParams const& params) {
  DbRows rows = query(sql, params);
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

std::uint64_t Db::execute(std::string_view sql, DbParams const& params) {
  return state_->alone([&] { return state_->run(sql, params); }).affected;
}

std::uint64_t Db::insert(std::string_view sql, DbParams const& params) {
  return state_->alone([&] { return state_->run(sql, params); }).insert_id;
}

bool Db::insert_unless_duplicate(std::string_view sql, DbParams const& params) {
  try {
    execute(sql, params);
    return true;
  } catch (Error const&) {
    if (state_->last_code != ER_DUP_ENTRY) throw;
    return false;
  }
}

void Db::run_unprepared(std::string_view sql) {
  if (!state_->connection || state_->broken) state_->connect();
  state_->begin(sql);
  State::Spending const spending(*state_);
  ++state_->round_trips;
  MYSQL* connection = state_->connection.get();
  if (mysql_real_query(connection, sql.data(), static_cast<unsigned long>(sql.size())) != 0) {
    state_->fail(gist(sql), mysql_errno(connection), mysql_error(connection));
  }
  std::unique_ptr<MYSQL_RES, void (*)(MYSQL_RES*)> const ignored(mysql_store_result(connection),
                                                                 mysql_free_result);
}

void Db::limit_time(std::chrono::milliseconds most) {
  state_->allowed = most;
  state_->spent = {};
}
bool Db::in_transaction() const noexcept { return state_->in_transaction; }
std::uint64_t Db::round_trips() const noexcept { return state_->round_trips; }

void Db::transact(std::function<void()> const& work) {
  if (state_->in_transaction) throw Error(Fault::internal, "database: transactions do not nest");
  repeat([&] {
    state_->with_reconnect([&] { state_->plain("START TRANSACTION"); });
    state_->in_transaction = true;
    try {
      work();
      state_->plain("COMMIT");
      state_->in_transaction = false;
    } catch (...) {
      state_->rollback();
      throw;
    }
  });
}

void Db::repeat(std::function<void()> const& work) {
  if (state_->in_transaction || state_->repeating) return work();
  state_->repeat(work);
}

}  // namespace sys
