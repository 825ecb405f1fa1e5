// The verbs of `pomona push-cert`, by file.
#pragma once

#include <string>
#include <vector>

#include "nouns.hpp"

namespace admin {

std::vector<Verb> push_cert_show_verbs();     // list, show
std::vector<Verb> push_cert_request_verbs();  // vendor-request, request, sign, verify, signed, mdmcert-...
std::vector<Verb> push_cert_import_verbs();   // import, rollback

// The pass phrase of `--password-file`, else typed on the terminal without echo; throws Error{bad_request}
// where stdin is none.
sys::OptionSpec password_file_option();
sys::SecretBytes ask_pass_phrase(Context& context, std::string const& file);

}  // namespace admin
