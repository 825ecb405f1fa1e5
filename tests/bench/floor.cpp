// pomona-floor: the least that a FastCGI program with a database can do, for Pomona to be measured against.
// It reads the body and runs one prepared statement: a SELECT by primary key, or, where the path ends in
// /insert, an INSERT of 1.5 kB that is committed by itself. Loop and socket are libfcgi's own.
//
// SECURITY: for the bench's private stack only. It asks nobody who they are.
#include <array>
#include <iostream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fcgiapp.h>
#include <sys/stat.h>

#include "sys/file.hpp"
#include "sys/mariadb.hpp"

namespace {

constexpr std::size_t row_bytes = 1500;
constexpr int rows = 1000;

void serve(int socket, sys::DbOptions const& options) {
  sys::Db db(options);
  FCGX_Request request;
  FCGX_InitRequest(&request, socket, 0);
  std::string const bytes(row_bytes, 'x');
  std::array<char, 4096> waste{};
  for (int turn = 0; FCGX_Accept_r(&request) == 0; ++turn) {
    while (FCGX_GetStr(waste.data(), waste.size(), request.in) == static_cast<int>(waste.size())) {
    }
    char const* const name = FCGX_GetParam("SCRIPT_NAME", request.envp);
    if (name != nullptr && std::string_view(name).ends_with("/insert"))
      db.insert("INSERT INTO bench_written (body) VALUES (?)", {bytes});
    else
      db.query_row("SELECT id, value FROM bench_read WHERE id = ?", {std::int64_t{1} + turn % rows});
    FCGX_PutS("Status: 200 OK\r\nContent-Length: 0\r\n\r\n", request.out);
    FCGX_Finish_r(&request);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::cerr << "Usage: pomona-floor SOCKET THREADS DATABASE-SOCKET DATABASE USER PASSWORD-FILE\n";
    return 2;
  }
  try {
    sys::DbOptions const options{argv[3], argv[5], sys::read_secret_file(argv[6]), argv[4]};
    ::umask(0077);
    FCGX_Init();
    constexpr int backlog = 1024;
    int const socket = FCGX_OpenSocket(argv[1], backlog);
    if (socket < 0) throw std::runtime_error(std::string("cannot listen on ") + argv[1]);
    std::vector<std::jthread> threads;
    for (int i = 0; i < std::stoi(argv[2]); ++i) threads.emplace_back([&] { serve(socket, options); });
  } catch (std::exception const& error) {
    std::cerr << "pomona-floor: " << error.what() << '\n';
    return 1;
  }
}
