// The only translation unit with Catch2's main: it takes 14 seconds to compile.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
