// Inside of sys: an OpenSSL context of its own that knows the algorithms of the legacy provider (single DES).
//
// What is bound to it may use them; the process's own context goes on refusing them. Making one takes some
// milliseconds. Error{internal} where the provider is not installed.
#pragma once

#include <openssl/crypto.h>
#include <openssl/provider.h>

#include "sys/openssl.hpp"

namespace sys {

class LegacyContext {
 public:
  LegacyContext();
  [[nodiscard]] OSSL_LIB_CTX* raw() const noexcept { return context_.get(); }

 private:
  ossl::Handle<OSSL_LIB_CTX, OSSL_LIB_CTX_free> context_;
  // Ends before the context. With an explicit provider the default one is no longer loaded by itself.
  ossl::Handle<OSSL_PROVIDER, OSSL_PROVIDER_unload> standard_;
  ossl::Handle<OSSL_PROVIDER, OSSL_PROVIDER_unload> legacy_;
};

}  // namespace sys
