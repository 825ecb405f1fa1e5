// Bytes, text forms and files. Files are replaced as a whole (temporary name, then rename), so that a killed
// device leaves either the old or the new content. Errors: device::Error.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

namespace device {

std::string hex(std::string_view bytes);                        // lower case
std::string upper_hex(std::string_view bytes);                  // upper case
std::string base64(std::string_view bytes);                     // one line
std::optional<std::string> from_base64(std::string_view text);  // white space is skipped
std::string random_bytes(std::size_t count);                    // from libcrypto
std::string random_text(std::size_t count, std::string_view alphabet);
std::string uuid();  // random, upper case as Apple writes it

std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, std::string_view content, mode_t mode);

}  // namespace device
