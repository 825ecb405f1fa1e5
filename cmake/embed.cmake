# Compiles sql/NNNN_*.sql, procedures.sql and grants.sql into the store library, so that a program and the schema it was built for cannot drift apart.
function(pomona_embed_migrations TARGET)
  file(GLOB FILES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/sql/[0-9][0-9][0-9][0-9]_*.sql)
  list(SORT FILES)
  list(APPEND FILES ${CMAKE_SOURCE_DIR}/sql/procedures.sql ${CMAKE_SOURCE_DIR}/sql/grants.sql)
  set(OUT ${CMAKE_BINARY_DIR}/generated/migrations_embedded.cpp)
  add_custom_command(
    OUTPUT ${OUT}
    COMMAND ${CMAKE_COMMAND} "-DFILES=${FILES}" -DOUT=${OUT} -P ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
    DEPENDS ${FILES} ${CMAKE_SOURCE_DIR}/cmake/embed_files.cmake
    VERBATIM)
  target_sources(${TARGET} PRIVATE ${OUT})
endfunction()
