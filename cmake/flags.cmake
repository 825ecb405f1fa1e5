# Compiler flags of our own code, kept in one interface target so that system headers and Catch2 stay out of it.
add_library(pomona_flags INTERFACE)
target_compile_options(pomona_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -fstack-protector-strong)
if(POMONA_WERROR)
  # gcc 12 claims maybe-uninitialized falsely inside std::vector and std::variant at -Og; it stays a warning.
  target_compile_options(pomona_flags INTERFACE -Werror $<$<CXX_COMPILER_ID:GNU>:-Wno-error=maybe-uninitialized>)
endif()
if(POMONA_SANITIZE)
  target_compile_definitions(pomona_flags INTERFACE _GLIBCXX_ASSERTIONS)
  target_compile_options(pomona_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
                                                -fno-omit-frame-pointer)
  target_link_options(pomona_flags INTERFACE -fsanitize=address,undefined)
else()
  target_compile_options(pomona_flags INTERFACE $<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2>)
endif()
if(POMONA_LIBFUZZER)
  # Coverage counters everywhere; only the targets themselves get libFuzzer's main.
  target_compile_options(pomona_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(POMONA_TEST_BUILD)
  target_compile_definitions(pomona_flags INTERFACE POMONA_TEST_BUILD=1)
endif()
target_compile_definitions(pomona_flags INTERFACE POMONA_VERSION="${PROJECT_VERSION}")
