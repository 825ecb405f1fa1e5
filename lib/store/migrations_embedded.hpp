// The SQL files of sql/, compiled in (cmake/embed_files.cmake writes the definition).
#pragma once

#include <string>
#include <vector>

namespace store {

struct EmbeddedSql {
  std::string name;  // 0001_base.sql
  std::string text;
};

std::vector<EmbeddedSql> embedded_sql();  // in order; then procedures.sql and grants.sql

}  // namespace store
