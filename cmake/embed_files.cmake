# Script mode: writes OUT, a C++ file with the bytes of FILES as store::embedded_sql().
set(TEXT "#include \"store/migrations_embedded.hpp\"\n\nnamespace store {\n\nstd::vector<EmbeddedSql> embedded_sql() {\n  return {\n")
foreach(FILE IN LISTS FILES)
  get_filename_component(NAME ${FILE} NAME)
  file(READ ${FILE} HEX HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" BYTES "${HEX}")
  # Adjacent short literals keep every literal under the limits of the standard.
  string(REGEX REPLACE "((\\\\x[0-9a-f][0-9a-f])(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?)" "\n    \"\\1\"" LITERALS "${BYTES}")
  string(APPEND TEXT "    {\"${NAME}\", ${LITERALS}},\n")
endforeach()
string(APPEND TEXT "  };\n}\n\n}  // namespace store\n")
file(WRITE ${OUT} "${TEXT}")
