#include "protocol/packing.h"

#include <gtest/gtest.h>

#include <random>

#include "protocol/codec.h"
#include "protocol/limits.h"
#include "protocol/messages.h"

namespace syncline {
namespace {

Bytes noise(std::size_t size) {
  std::mt19937_64 random(7);
  Bytes out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

Bytes prose(std::size_t size) {
  Bytes out;
  for (int line = 0; out.size() < size; ++line) out += "const line" + std::to_string(line) + " = require('./line');\n";
  out.resize(size);
  return out;
}

Bytes head(std::uint64_t size) {
  Writer w;
  w.u8(0), w.varint(size);
  return w.take();
}

TEST(PackingTest, TextShrinksAndComesBack) {
  for (const std::size_t size : {std::size_t{600}, std::size_t{8192}, std::size_t{300'000}, limits::message_bytes}) {
    const Bytes text = prose(size), packed = pack(text);
    ASSERT_TRUE(is_packed(packed)) << size;
    EXPECT_LT(packed.size(), size / 2);
    EXPECT_EQ(unpack(packed), text);
  }
}

TEST(PackingTest, WhatDoesNotShrinkStaysAsItIs) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, std::size_t{600}, std::size_t{300'000}}) {
    const Bytes bytes = "\x06" + noise(size);
    EXPECT_EQ(pack(bytes), bytes);
  }
}

TEST(PackingTest, AMessageReadsTheSameEitherWay) {
  const Message message = Piece{7, 200'000, prose(200'000)};
  const Bytes packed = pack(encode(message));
  ASSERT_TRUE(is_packed(packed));
  EXPECT_EQ(*decode(packed), message);
  EXPECT_EQ(std::get<Piece>(*decode(packed)).id, 7u);
}

TEST(PackingTest, GarbageIsRefused) {
  const Bytes good = pack(prose(10'000));
  for (std::size_t cut = 0; cut < good.size(); cut += 7) EXPECT_FALSE(unpack(BytesView(good).substr(0, cut))) << cut;
  EXPECT_FALSE(unpack(good + "x"));
  EXPECT_FALSE(unpack(head(9'999) + good.substr(head(10'000).size()))) << "another size than the frame's";
  EXPECT_FALSE(unpack(head(limits::message_bytes + 1) + good.substr(3)));
  EXPECT_FALSE(unpack(prose(1000)));
  EXPECT_FALSE(decode(head(10) + noise(100)));
  Bytes twice = pack(encode(Piece{7, 200'000, prose(200'000)}));
  twice += Bytes(60'000, '\0');  // so that it can be packed again
  ASSERT_TRUE(is_packed(pack(twice)));
  EXPECT_FALSE(decode(pack(twice)));
}

}  // namespace
}  // namespace syncline
