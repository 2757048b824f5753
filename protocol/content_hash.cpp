#include "protocol/content_hash.h"

#include <sodium.h>
#include <xxhash.h>

namespace syncline {

static Hash128 canonical(XXH128_hash_t h) {
  XXH128_canonical_t big_endian;
  XXH128_canonicalFromHash(&big_endian, h);
  return Hash128::from({reinterpret_cast<const char*>(big_endian.digest), Hash128::size});
}

HashKey::HashKey(const Key32& key) {
  static_assert(sizeof secret_ >= XXH3_SECRET_SIZE_MIN && sizeof secret_ % crypto_generichash_BYTES_MAX == 0);
  for (std::uint8_t block = 0; block < sizeof secret_ / crypto_generichash_BYTES_MAX; ++block) {
    crypto_generichash(secret_.data() + block * crypto_generichash_BYTES_MAX, crypto_generichash_BYTES_MAX, &block, 1,
                       key.bytes.data(), key.bytes.size());
  }
}

Hash128 HashKey::hash(BytesView content) const {
  return canonical(XXH3_128bits_withSecret(content.data(), content.size(), secret_.data(), secret_.size()));
}

struct ContentHasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

ContentHasher::ContentHasher(const HashKey& key) : state_(std::make_unique<State>()) {
  XXH3_128bits_reset_withSecret(state_->xxh, key.secret_.data(), key.secret_.size());
}
ContentHasher::~ContentHasher() = default;
ContentHasher::ContentHasher(ContentHasher&&) noexcept = default;

void ContentHasher::update(BytesView piece) { XXH3_128bits_update(state_->xxh, piece.data(), piece.size()); }
Hash128 ContentHasher::digest() const { return canonical(XXH3_128bits_digest(state_->xxh)); }

}  // namespace syncline
