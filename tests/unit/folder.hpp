// A folder of its own for what a test gives to other programs and gets back; gone with the object.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "sys/bytes.hpp"
#include "sys/file.hpp"
#include "sys/text.hpp"

class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("pomona-" + sys::hex(sys::random_bytes(8)))) {
    std::filesystem::create_directory(path_);
  }
  Folder(Folder const&) = delete;
  Folder& operator=(Folder const&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  void put(std::string const& name, std::string const& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }
  [[nodiscard]] std::string path() const { return path_.string(); }
  [[nodiscard]] std::string get(std::string const& name) const { return sys::read_file(path_ / name); }
  // Runs a shell command in the folder: true when it exits 0.
  [[nodiscard]] bool run(std::string const& command) const {
    std::string const line = "cd '" + path_.string() + "' && " + command + " >log 2>&1";
    return std::system(line.c_str()) == 0;  // NOLINT(cert-env33-c)
  }

 private:
  std::filesystem::path path_;
};
