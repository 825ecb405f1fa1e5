// The MariaDB wrapper against a real server: POMONA_TEST_MYSQL_SOCKET names its socket, the user is root, the
// database pomona.
#include <atomic>
#include <cstdlib>
#include <thread>

#include <catch2/catch.hpp>

#include "store/leases.hpp"
#include "store/secrets.hpp"
#include "sys/error.hpp"
#include "sys/mariadb.hpp"
#include "sys/text.hpp"

namespace {

sys::Db connect() {
  char const* socket = std::getenv("POMONA_TEST_MYSQL_SOCKET");
  REQUIRE(socket != nullptr);
  return sys::Db({socket, "root", {}, "pomona"});
}

// A table of its own for each test, gone at the end.
class Table {
 public:
  explicit Table(sys::Db& db, std::string const& columns)
      : db_(db), name_("t" + sys::hex(sys::random_bytes(8))) {
    db_.run_unprepared("CREATE TABLE " + name_ + " (" + columns +
                       ") ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
  }
  Table(Table const&) = delete;
  Table& operator=(Table const&) = delete;
  ~Table() { db_.run_unprepared("DROP TABLE " + name_); }
  [[nodiscard]] std::string const& name() const { return name_; }

 private:
  sys::Db& db_;
  std::string name_;
};

}  // namespace

TEST_CASE("values come back as they went in: NULL, empty, numbers, bytes, times, megabytes") {
  auto db = connect();
  Table const table(db, "id INT PRIMARY KEY, n BIGINT, t LONGBLOB, at DATETIME(6)");
  std::string const large = sys::random_bytes(5 << 20);
  std::string const odd("\0\xff'\"\\\n", 6);
  auto const now = *sys::parse_sql_time("2027-01-02 03:04:05.678901");
  auto const put = "INSERT INTO " + table.name() + " VALUES (?, ?, ?, ?)";
  db.execute(put, {1, nullptr, nullptr, nullptr});
  db.execute(put, {2, -5, "", now});
  db.execute(put, {3, std::int64_t{1} << 60, odd, sys::from_unix(0)});
  db.execute(put, {4, 0, large, std::optional<sys::Time>()});
  auto const rows = db.query("SELECT n, t, at FROM " + table.name() + " ORDER BY id");
  REQUIRE(rows.size() == 4);
  CHECK(rows[0].null(0));
  CHECK(rows[0].null(1));
  CHECK_FALSE(rows[0].maybe_time(2).has_value());
  CHECK_THROWS_AS(rows[0].text(1), sys::Error);
  CHECK(rows[1].integer(0) == -5);
  CHECK(rows[1].maybe_text(1) == "");
  CHECK(rows[1].time(2) == now);
  CHECK(rows[2].integer(0) == std::int64_t{1} << 60);
  CHECK(rows[2].text(1) == odd);
  CHECK(rows[3].text(1) == large);
}

TEST_CASE("a value above max_allowed_packet is refused before it is sent, and the connection stays usable") {
  auto db = connect();
  try {
    db.query("SELECT LENGTH(?)", {std::string(64U << 20U, 'x')});
    FAIL("it was sent");
  } catch (sys::Error const& error) {
    CHECK(error.fault() == sys::Fault::internal);  // whoever sent it is told nothing else than that it is us
    CHECK(std::string(error.what()).find("max_allowed_packet") != std::string::npos);
  }
  CHECK(db.query_row("SELECT 1")->integer(0) == 1);
}

TEST_CASE("a duplicate key is a conflict, or false where that was asked") {
  auto db = connect();
  Table const table(db, "id INT PRIMARY KEY");
  auto const put = "INSERT INTO " + table.name() + " VALUES (?)";
  CHECK(db.insert_unless_duplicate(put, {1}));
  CHECK_FALSE(db.insert_unless_duplicate(put, {1}));
  try {
    db.execute(put, {1});
    FAIL("no error");
  } catch (sys::Error const& error) {
    CHECK(error.fault() == sys::Fault::conflict);
  }
}

TEST_CASE("a transaction that throws leaves nothing, one that returns leaves all") {
  auto db = connect();
  Table const table(db, "id INT PRIMARY KEY");
  auto const put = "INSERT INTO " + table.name() + " VALUES (?)";
  CHECK_THROWS_AS(db.transaction([&] {
    db.execute(put, {1});
    throw sys::Error(sys::Fault::bad_request, "no");
  }),
                  sys::Error);
  CHECK(db.query("SELECT * FROM " + table.name()).empty());
  CHECK(db.transaction([&] {
    db.execute(put, {1});
    return 7;
  }) == 7);
  CHECK(db.query("SELECT * FROM " + table.name()).size() == 1);
  CHECK_FALSE(db.in_transaction());
}

TEST_CASE("two transactions that deadlock are both done, each wholly") {
  auto db = connect();
  Table const table(db, "id INT PRIMARY KEY, n INT NOT NULL");
  db.execute("INSERT INTO " + table.name() + " VALUES (1, 0), (2, 0)");
  std::atomic<int> first_steps{0};
  auto const work = [&](int a, int b) {
    auto own = connect();
    own.transaction([&] {
      own.execute("UPDATE " + table.name() + " SET n = n + 1 WHERE id = ?", {a});
      ++first_steps;
      while (first_steps < 2) std::this_thread::yield();  // both hold one row now: the second step deadlocks
      own.execute("UPDATE " + table.name() + " SET n = n + 1 WHERE id = ?", {b});
    });
  };
  std::thread one(work, 1, 2);
  std::thread two(work, 2, 1);
  one.join();
  two.join();
  CHECK(first_steps > 2);
  for (auto const& row : db.query("SELECT n FROM " + table.name())) CHECK(row.integer(0) == 2);
}

TEST_CASE(
    "a connection that the server closed is opened again between requests, never inside a transaction") {
  auto db = connect();
  auto killer = connect();
  Table const table(killer, "id INT PRIMARY KEY");
  auto const kill = [&] {
    auto const id = db.query_row("SELECT CONNECTION_ID()")->integer(0);
    killer.run_unprepared("KILL " + std::to_string(id));
  };
  kill();
  CHECK(db.query_row("SELECT 1")->integer(0) == 1);
  try {
    db.transaction([&] {
      db.execute("INSERT INTO " + table.name() + " VALUES (1)");
      kill();
      db.execute("INSERT INTO " + table.name() + " VALUES (2)");
    });
    FAIL("no error");
  } catch (sys::Error const& error) {
    CHECK(error.fault() == sys::Fault::unavailable);
  }
  CHECK(killer.query("SELECT * FROM " + table.name()).empty());
  CHECK(db.query_row("SELECT 1")->integer(0) == 1);
}

TEST_CASE("an absent server is unavailable, not a defect") {
  sys::Db db({"/nonexistent/socket", "root", {}, "pomona"});
  try {
    db.query("SELECT 1");
    FAIL("no error");
  } catch (sys::Error const& error) {
    CHECK(error.fault() == sys::Fault::unavailable);
  }
}

TEST_CASE("only the time that the database takes counts against the limit, and then no statement begins") {
  using std::chrono::milliseconds;
  auto db = connect();
  db.limit_time(milliseconds(200));
  auto const until = std::chrono::steady_clock::now() + milliseconds(300);
  while (std::chrono::steady_clock::now() < until) continue;  // as whoever reads a large message
  CHECK(db.query_row("SELECT ?", {1})->integer(0) == 1);
  db.query("SELECT SLEEP(0.3)");
  for (int i = 0; i < 2; ++i) {
    try {
      db.query("SELECT ?", {i});
      FAIL("a statement began after the time was used up");
    } catch (sys::Error const& error) {
      CHECK(error.fault() == sys::Fault::unavailable);
      CHECK(std::string(error.what()).find("used up the time of this request") != std::string::npos);
    }
  }
  CHECK_THROWS_AS(db.transaction([&] { db.query("SELECT 3"); }), sys::Error);
  db.limit_time(milliseconds(200));
  CHECK(db.query_row("SELECT ?", {4})->integer(0) == 4);
}

TEST_CASE("a prepared statement costs one round trip after its first use") {
  auto db = connect();
  db.query("SELECT ?", {1});
  auto const before = db.round_trips();
  CHECK(db.query_row("SELECT ?", {2})->integer(0) == 2);
  CHECK(db.round_trips() - before == 1);
}

TEST_CASE("a stored procedure's rows and its errors arrive") {
  auto db = connect();
  db.run_unprepared(
      "CREATE OR REPLACE PROCEDURE pomona_test_proc(IN n INT) BEGIN IF n < 0 THEN SIGNAL SQLSTATE '45000'; "
      "END IF; SELECT n + 1; END");
  for (int i = 0; i < 3; ++i) CHECK(db.query_row("CALL pomona_test_proc(?)", {i})->integer(0) == i + 1);
  CHECK_THROWS_AS(db.query_row("CALL pomona_test_proc(?)", {-1}), sys::Error);
  CHECK(db.query_row("CALL pomona_test_proc(?)", {5})->integer(0) == 6);
  db.run_unprepared("DROP PROCEDURE pomona_test_proc");
}

TEST_CASE("a lease has one owner at a time and is free again at its end") {
  auto db = connect();
  auto other = connect();
  db.run_unprepared(
      "CREATE TABLE IF NOT EXISTS leases (name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, "
      "owner VARCHAR(64) CHARACTER SET "
      "ascii COLLATE ascii_bin NOT NULL, lease_until DATETIME(6) NOT NULL, PRIMARY KEY (name))");
  std::string const name = sys::hex(sys::random_bytes(8));
  {
    store::Lease lease(db, name, store::lease_owner());
    CHECK(lease.held());
    CHECK_FALSE(store::Lease(other, name, store::lease_owner()).held());
    lease.renew();
    other.execute("UPDATE leases SET owner = 'thief' WHERE name = ?", {name});
    CHECK_THROWS_AS(lease.renew(), sys::Error);
    other.execute("DELETE FROM leases WHERE name = ?", {name});
  }
  CHECK(store::Lease(other, name, store::lease_owner()).held());
  CHECK(store::Lease(db, name, store::lease_owner()).held());
}
