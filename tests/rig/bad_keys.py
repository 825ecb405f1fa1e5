"""RSA keys that are bad on purpose, made by the textbook: what the server's checks of strangers' keys must find.

    close_primes(), roca(), small_factor(), of_bits(2048, exponent=3)         private keys of cryptography
"""
import secrets

from cryptography.hazmat.primitives.asymmetric import rsa

HALF = 1024
EXPONENT = 65537


def is_prime(number, rounds=12):
    """Miller and Rabin."""
    if any(number % small == 0 for small in SMALL):
        return number in SMALL
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(rounds):
        power = pow(secrets.randbelow(number - 3) + 2, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def primes(count):
    found, number = [], 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


SMALL = primes(132)  # to 743


def usable(prime):
    return is_prime(prime) and (prime - 1) % EXPONENT != 0


def random_prime(bits):
    while True:
        number = secrets.randbits(bits) | 3 << bits - 2 | 1
        if usable(number):
            return number


def key_of(p, q):
    p, q = max(p, q), min(p, q)
    d = pow(EXPONENT, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(EXPONENT, p * q))
    return numbers.private_key()


def close_primes():
    """Two primes in a row."""
    p = random_prime(HALF)
    q = p + 2
    while not usable(q):
        q += 2
    return key_of(p, q)


def roca_prime():
    """k * M + 65537^a mod M, M the product of the first 126 primes (971 bits), as the library of CVE-2017-15361 made them."""
    product = 1
    for prime in primes(126):
        product *= prime
    while True:
        power = pow(EXPONENT, secrets.randbits(254), product)
        number = (secrets.randbits(HALF) | 3 << HALF - 2) // product * product + power
        if number.bit_length() == HALF and usable(number):
            return number


def roca():
    return key_of(roca_prime(), roca_prime())


def small_factor():
    return key_of(random_prime(2040), 743)


def of_bits(bits, exponent=EXPONENT):
    return rsa.generate_private_key(public_exponent=exponent, key_size=bits)
