#include "sys/legacy_context.hpp"

namespace sys {

LegacyContext::LegacyContext()
    : context_(OSSL_LIB_CTX_new()),
      standard_(context_ ? OSSL_PROVIDER_load(context_.get(), "default") : nullptr),
      legacy_(standard_ ? OSSL_PROVIDER_load(context_.get(), "legacy") : nullptr) {
  if (!legacy_) ossl::fail(Fault::internal, "load OpenSSL's legacy provider");
}

}  // namespace sys
