#include "sys/mariadb.hpp"
#include "sys/text.hpp"

namespace sys {

std::string const& DbRow::text(std::size_t column) const {
  auto const& value = columns_.at(column);
  if (!value) throw Error(Fault::internal, "database: column " + std::to_string(column) + " is NULL");
  return *value;
}

std::int64_t DbRow::integer(std::size_t column) const {
  auto const value = parse_integer(text(column));
  if (!value) throw Error(Fault::internal, "database: column " + std::to_string(column) + " is no number");
  return *value;
}

std::optional<std::int64_t> DbRow::maybe_integer(std::size_t column) const {
  if (null(column)) return std::nullopt;
  return integer(column);
}

Time DbRow::time(std::size_t column) const {
  auto const value = parse_sql_time(text(column));
  if (!value) throw Error(Fault::internal, "database: column " + std::to_string(column) + " is no time");
  return *value;
}

std::optional<Time> DbRow::maybe_time(std::size_t column) const {
  if (null(column)) return std::nullopt;
  return time(column);
}

}  // namespace sys
