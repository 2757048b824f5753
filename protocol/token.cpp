#include "protocol/token.h"

#include <fmt/format.h>
#include <sodium.h>

#include <cassert>

#include "protocol/address.h"
#include "protocol/codec.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

constexpr std::string_view kPrefix = "syncline-";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kChecksumBytes = 4;  // against a bad paste, not against an attacker
constexpr int kBase64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

Bytes checksum(BytesView body) {
  std::array<unsigned char, 16> hash;
  crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(body.data()),
                     body.size(), nullptr, 0);
  return {reinterpret_cast<const char*>(hash.data()), kChecksumBytes};
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

}  // namespace

std::string token_text(const Token& token) {
  assert(!token.addresses.empty() && token.addresses.size() <= limits::addresses);
  Writer w;
  w.u8(kVersion), w.id(token.cluster), w.id(token.inviter_key);
  w.raw({reinterpret_cast<const char*>(token.id.data()), token.id.size()});
  w.id(token.secret), w.u64(token.expires.ms), w.varint(token.addresses.size());
  for (const auto& a : token.addresses) w.bytes(a);
  const Bytes body = w.data() + checksum(w.data());
  std::string base64(sodium_base64_ENCODED_LEN(body.size(), kBase64), '\0');
  sodium_bin2base64(base64.data(), base64.size(), reinterpret_cast<const unsigned char*>(body.data()),
                    body.size(), kBase64);
  base64.pop_back();  // the terminating zero
  return std::string(kPrefix) + base64;
}

Result<Token> parse_token(std::string_view text) {
  const auto bad = [](std::string_view why) {
    return fail(Error::Code::invalid, fmt::format("the token {}", why));
  };
  constexpr std::string_view cut =
      "is damaged or cut off: copy the whole of what `syncline cluster invite` printed";
  text = trimmed(text);
  if (!text.starts_with(kPrefix)) return bad("does not start with \"syncline-\": this is not a join token");
  text.remove_prefix(kPrefix.size());
  if (text.size() > limits::token_bytes) return bad("is too long");

  Bytes body(text.size(), '\0');
  std::size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(body.data()), body.size(), text.data(), text.size(),
                        nullptr, &size, nullptr, kBase64) != 0 ||
      size <= kChecksumBytes)
    return bad(cut);
  body.resize(size);
  const BytesView content = BytesView(body).substr(0, size - kChecksumBytes);
  if (checksum(content) != BytesView(body).substr(content.size())) return bad(cut);

  Reader r(content);
  Token token;
  if (r.u8() != kVersion) return bad("is of another version of syncline: use the same version on all nodes");
  token.cluster = r.id<ClusterId>(), token.inviter_key = r.id<Key32>();
  const BytesView id = r.raw(token.id.size());
  if (r.ok()) std::copy(id.begin(), id.end(), token.id.begin());
  token.secret = r.id<Key32>(), token.expires.ms = r.u64();
  for (std::size_t n = r.count(limits::addresses); n > 0 && r.ok(); --n)
    token.addresses.emplace_back(r.bytes(limits::address_bytes));
  if (!r.done() || token.addresses.empty()) return bad("is malformed");
  for (const auto& a : token.addresses)
    if (const auto address = parse_address(a); !address || address->port == 0) return bad("is malformed");
  return token;
}

}  // namespace syncline
