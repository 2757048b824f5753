#include "node/invites.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <charconv>

#include "node/home_file.h"
#include "protocol/limits.h"

namespace syncline {
namespace {

BytesView view(const TokenId& id) { return {reinterpret_cast<const char*>(id.data()), id.size()}; }

template <std::unsigned_integral T>
bool take_number(std::string_view text, T& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc{} && end == text.data() + text.size();
}

// "ID SECRET USES EXPIRES_MS"
std::optional<Invites::Invite> parse(std::string_view text) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at <= text.size() && words.size() < 5;) {
    const std::size_t blank = std::min(text.find(' ', at), text.size());
    words.push_back(text.substr(at, blank - at));
    at = blank + 1;
  }
  Invites::Invite invite;
  if (words.size() != 4) return std::nullopt;
  const auto id = from_hex(words[0]), secret = from_hex(words[1]);
  if (!id || id->size() != invite.id.size() || !secret || secret->size() != Key32::size) return std::nullopt;
  if (!take_number(words[2], invite.uses) || !take_number(words[3], invite.expires.ms)) return std::nullopt;
  std::copy(id->begin(), id->end(), invite.id.begin());
  invite.secret = Key32::from(*secret);
  return invite;
}

// Token ids are no secret: a plain comparison will do.
template <class List>
auto find(List& list, const TokenId& id) {
  return std::ranges::find(list, id, &Invites::Invite::id);
}

}  // namespace

Result<Invites> Invites::load(const std::string& file) {
  Invites invites(file);
  const auto text = read_private(file, limits::home_file_bytes);
  if (!text && text.error().code == Error::Code::not_found) return invites;
  if (!text) return tl::unexpected(text.error());
  for (const HomeLine& line : home_lines(*text)) {
    const auto invite = line.key == "invite" ? parse(line.value) : std::nullopt;
    if (!invite || invites.list_.size() >= limits::invites)
      return fail(Error::Code::invalid, fmt::format("{}:{}: is no invitation", file, line.number));
    invites.list_.push_back(*invite);
  }
  return invites;
}

Status Invites::save(std::vector<Invite> next) {
  std::string text = "# Outstanding tokens of `syncline cluster invite`. Secret.\n";
  for (const Invite& i : next)
    text += fmt::format("invite {} {} {} {}\n", to_hex(view(i.id)), to_hex(i.secret), i.uses, i.expires.ms);
  if (const Status done = write_private(file_, text); !done) return done;
  list_ = std::move(next);
  return {};
}

Result<Invites::Invite> Invites::create(std::uint32_t uses, std::uint64_t ttl_ms, WallTime now) {
  if (uses == 0 || uses > limits::invite_uses || ttl_ms == 0 || ttl_ms > limits::invite_ttl_ms)
    return fail(Error::Code::invalid, "uses or time to live out of bounds");
  auto next = list_;
  std::erase_if(next, [&](const Invite& i) { return i.expires <= now; });
  if (next.size() >= limits::invites)
    return fail(Error::Code::full,
                fmt::format("{} tokens are outstanding: wait until some expire", next.size()));
  Invite invite;
  randombytes_buf(invite.id.data(), invite.id.size());
  randombytes_buf(invite.secret.bytes.data(), invite.secret.bytes.size());
  invite.uses = uses;
  invite.expires.ms = now.ms + ttl_ms;
  next.push_back(invite);
  if (const Status done = save(std::move(next)); !done) return tl::unexpected(done.error());
  return invite;
}

std::optional<Key32> Invites::secret(const TokenId& id, WallTime now) const {
  const auto at = find(list_, id);
  if (at == list_.end() || at->expires <= now) return std::nullopt;
  return at->secret;
}

Status Invites::consume(const TokenId& id, WallTime now) {
  auto next = list_;
  const auto at = find(next, id);
  if (at == next.end()) return fail(Error::Code::refused, "the token is unknown or used up");
  if (at->expires <= now) return fail(Error::Code::refused, "the token has expired");
  if (--at->uses == 0) next.erase(at);
  std::erase_if(next, [&](const Invite& i) { return i.expires <= now; });
  return save(std::move(next));
}

std::size_t Invites::outstanding(WallTime now) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(list_, [&](const Invite& i) { return i.expires > now; }));
}

}  // namespace syncline
