// Replays files, and the files of folders, through a fuzz target: for compilers without libFuzzer, and for
// the tests.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

namespace {

void replay(std::filesystem::path const& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + file.string());
  std::string const bytes{std::istreambuf_iterator<char>(in), {}};
  std::cerr << file.string() << '\n';  // the last line names the file of a crash
  // A copy of exactly this size: a read beyond its end is seen.
  std::vector<std::uint8_t> const exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::size_t count = 0;
    for (int i = 1; i < argc; ++i) {
      if (!std::filesystem::is_directory(argv[i])) {
        replay(argv[i]);
        ++count;
        continue;
      }
      for (auto const& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
        if (!entry.is_regular_file()) continue;
        replay(entry.path());
        ++count;
      }
    }
    std::cout << count << " inputs replayed\n";
    return count > 0 ? 0 : 2;
  } catch (std::exception const& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
