# cmake --install DIR [--prefix PREFIX]: programs, nginx files, systemd units, cron file, SQL, an example configuration.
# Files that name installed paths are filled in at installation, so that --prefix and DESTDIR mean what they say.
# Nothing is put into /etc, and no service is enabled: docs/operations.md says what an admin does next.
if(POMONA_TEST_BUILD)
  install(CODE [[message(FATAL_ERROR "This is a test build: its clock can be set by anyone. Install the release preset.")]])
endif()

foreach(PROGRAM IN LISTS POMONA_PROGRAMS)
  if(PROGRAM STREQUAL "pomona")
    install(TARGETS ${PROGRAM} RUNTIME DESTINATION bin)
  else()
    install(TARGETS ${PROGRAM} RUNTIME DESTINATION lib/pomona)
  endif()
endforeach()

install(DIRECTORY nginx/ DESTINATION share/pomona/nginx)
install(DIRECTORY sql/ DESTINATION share/pomona/sql FILES_MATCHING PATTERN "*.sql")
if(EXISTS ${CMAKE_SOURCE_DIR}/docs/operations.md)
  install(DIRECTORY docs/ DESTINATION share/doc/pomona FILES_MATCHING PATTERN "*.md")
endif()

install(CODE "
  set(SYSTEMD \"${CMAKE_SOURCE_DIR}/systemd\")
  set(FILLED \"${CMAKE_BINARY_DIR}/installed\")
")
install(CODE [[
  set(LIB "${CMAKE_INSTALL_PREFIX}/lib/pomona")
  file(READ "${SYSTEMD}/hardening.in" HARDENING)
  string(STRIP "${HARDENING}" HARDENING)

  function(pomona_fill SOURCE TARGET FOLDER)
    configure_file("${SYSTEMD}/${SOURCE}" "${FILLED}/${TARGET}" @ONLY)
    file(INSTALL DESTINATION "${CMAKE_INSTALL_PREFIX}/${FOLDER}" TYPE FILE FILES "${FILLED}/${TARGET}")
  endfunction()

  function(pomona_handler SHORT WHAT)
    set(NAME "pomona-${SHORT}")
    pomona_fill(handler.socket.in ${NAME}.socket lib/systemd/system)
    pomona_fill(handler.service.in ${NAME}.service lib/systemd/system)
  endfunction()

  pomona_handler(mdm "device requests")
  pomona_handler(scep "certificates for devices (SCEP)")
  pomona_handler(enroll "enrolment profiles")
  pomona_fill(pomona-push.service.in pomona-push.service lib/systemd/system)
  pomona_fill(pomona-push-forever.service.in pomona-push-forever.service lib/systemd/system)
  pomona_fill(pomona-push.timer.in pomona-push.timer lib/systemd/system)
  pomona_fill(pomona-maintain.service.in pomona-maintain.service lib/systemd/system)
  pomona_fill(pomona-maintain.timer.in pomona-maintain.timer lib/systemd/system)
  pomona_fill(cron.in cron.d/pomona share/pomona/cron.d)
  pomona_fill(sysusers.conf.in sysusers.d/pomona.conf lib/sysusers.d)
  pomona_fill(tmpfiles.conf.in tmpfiles.d/pomona.conf lib/tmpfiles.d)
  pomona_fill(pomona.conf.in pomona.conf share/pomona)
]])
