#include "sys/key_floor.hpp"

#include <array>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include "sys/openssl.hpp"

namespace sys {

namespace {

using BigNumber = ossl::Handle<BIGNUM, BN_free>;
using BigContext = ossl::Handle<BN_CTX, BN_CTX_free>;
using PssParams = ossl::Handle<RSA_PSS_PARAMS, RSA_PSS_PARAMS_free>;
using Algorithm = ossl::Handle<X509_ALGOR, X509_ALGOR_free>;

constexpr unsigned kLeastBits = 2048;
constexpr unsigned kMostBits = 8192;
constexpr std::uint64_t kExponent = 65537;
constexpr unsigned kLargestSmallPrime = 751;
constexpr int kFermatRounds = 110;

void check(bool good) {
  if (!good) ossl::fail(Fault::internal, "check key");
}

constexpr bool is_prime(unsigned number) {
  for (unsigned divisor = 2; divisor * divisor <= number; ++divisor)
    if (number % divisor == 0) return false;
  return number > 1;
}

bool has_small_factor(BIGNUM const* modulus) {
  for (unsigned number = 2; number <= kLargestSmallPrime; ++number)
    if (is_prime(number) && BN_mod_word(modulus, number) == 0) return true;
  return false;
}

// The largest number whose square is not above `number`, by Newton's method from above.
BigNumber square_root(BIGNUM const* number, BN_CTX* context) {
  BigNumber root(BN_new());
  BigNumber next(BN_new());
  check(root && next && BN_set_bit(root.get(), (BN_num_bits(number) + 1) / 2) == 1);
  while (true) {
    check(BN_div(next.get(), nullptr, number, root.get(), context) == 1 &&
          BN_add(next.get(), next.get(), root.get()) == 1 && BN_rshift1(next.get(), next.get()) == 1);
    if (BN_cmp(next.get(), root.get()) >= 0) return root;
    BN_swap(root.get(), next.get());
  }
}

bool is_square_modulo(BN_ULONG residue, BN_ULONG modulus) {
  for (BN_ULONG root = 0; root <= modulus / 2; ++root)
    if (root * root % modulus == residue) return true;
  return false;
}

bool is_square(BIGNUM const* number, BN_CTX* context) {
  if (BN_is_zero(number)) return true;
  // Spares nearly every number that is no square the root.
  constexpr std::array<BN_ULONG, 4> kModuli{64, 63, 65, 11};
  for (auto const modulus : kModuli)
    if (!is_square_modulo(BN_mod_word(number, modulus), modulus)) return false;
  auto const root = square_root(number, context);
  BigNumber const square(BN_new());
  check(square && BN_sqr(square.get(), root.get(), context) == 1);
  return BN_cmp(square.get(), number) == 0;
}

// modulus = a² - b² with a at its root or just above: (a + b)(a - b).
bool has_close_primes(BIGNUM const* modulus) {
  BigContext const context(BN_CTX_new());
  check(context != nullptr);
  auto const a = square_root(modulus, context.get());
  BigNumber const rest(BN_new());
  BigNumber const step(BN_new());
  check(rest && step && BN_sqr(rest.get(), a.get(), context.get()) == 1 &&
        BN_sub(rest.get(), rest.get(), modulus) == 1);
  for (int round = 0; round <= kFermatRounds; ++round) {
    if (BN_is_negative(rest.get()) == 0 && is_square(rest.get(), context.get())) return true;
    check(BN_lshift1(step.get(), a.get()) == 1 && BN_add_word(step.get(), 1) == 1 &&
          BN_add(rest.get(), rest.get(), step.get()) == 1 && BN_add_word(a.get(), 1) == 1);
  }
  return false;
}

// Primes of the faulty library are k·M + 65537^a mod M with M a product of primes: modulo each of these the
// modulus is a power of 65537, which happens to other keys about once in 2^27.
bool has_roca_fingerprint(BIGNUM const* modulus) {
  constexpr std::array<BN_ULONG, 17> kPrimes{11, 13, 17,  19,  37,  53,  61,  71, 73,
                                             79, 97, 103, 107, 109, 127, 151, 157};
  for (auto const prime : kPrimes) {
    auto const residue = BN_mod_word(modulus, prime);
    BN_ULONG power = 1;
    BN_ULONG tried = 0;
    while (power != residue && tried++ < prime) power = power * kExponent % prime;
    if (power != residue) return false;
  }
  return true;
}

std::optional<std::string> modulus_weakness(Key const& key) {
  BIGNUM* number = nullptr;
  check(EVP_PKEY_get_bn_param(key.raw(), OSSL_PKEY_PARAM_RSA_N, &number) == 1);
  BigNumber const modulus(number);
  if (has_small_factor(modulus.get())) return "RSA key with a small prime factor";
  if (has_roca_fingerprint(modulus.get())) return "RSA key made by a faulty library (ROCA)";
  if (has_close_primes(modulus.get())) return "RSA key whose primes are too close to each other";
  return std::nullopt;
}

int algorithm_nid(X509_ALGOR const* algorithm) {
  ASN1_OBJECT const* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, algorithm);
  return OBJ_obj2nid(object);
}

// RFC 4055 section 3.1: SHA-1 where a digest is left out.
int mask_digest(X509_ALGOR const* mask) {
  if (mask == nullptr) return NID_sha1;
  if (algorithm_nid(mask) != NID_mgf1) return NID_undef;
  Algorithm const digest(
      static_cast<X509_ALGOR*>(ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(X509_ALGOR), mask->parameter)));
  return digest ? algorithm_nid(digest.get()) : NID_undef;
}

int pss_digest(X509_ALGOR const* algorithm) {
  PssParams const params(static_cast<RSA_PSS_PARAMS*>(
      ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_PSS_PARAMS), algorithm->parameter)));
  if (!params) return NID_undef;
  int const digest = params->hashAlgorithm == nullptr ? NID_sha1 : algorithm_nid(params->hashAlgorithm);
  return mask_digest(params->maskGenAlgorithm) == digest ? digest : NID_undef;
}

}  // namespace

std::optional<std::string> key_weakness(Key const& key) {
  if (!key.is_rsa()) return "a key of the kind " + key.kind_name() + ", not RSA";
  if (key.bits() < kLeastBits || key.bits() > kMostBits)
    return "RSA key of " + std::to_string(key.bits()) + " bits";
  if (key.rsa_exponent() != kExponent) return "RSA key with an exponent other than 65537";
  return modulus_weakness(key);
}

int rsa_signature_digest(X509_ALGOR const* algorithm) {
  int const nid = algorithm_nid(algorithm);
  if (nid == NID_rsassaPss) {
    int const digest = pss_digest(algorithm);
    ossl::take_errors();
    return digest;
  }
  int digest = NID_undef;
  int key_kind = NID_undef;
  if (OBJ_find_sigid_algs(nid, &digest, &key_kind) != 1 || key_kind != NID_rsaEncryption) return NID_undef;
  return digest;
}

bool is_good_digest(int nid, OldAlgorithms old) noexcept {
  return nid == NID_sha256 || nid == NID_sha384 || nid == NID_sha512 ||
         (nid == NID_sha1 && old == OldAlgorithms::allowed);
}

std::string algorithm_name(int nid) {
  char const* name = OBJ_nid2sn(nid);
  return nid == NID_undef || name == nullptr ? "an unknown algorithm" : name;
}

}  // namespace sys
