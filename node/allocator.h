#pragma once

namespace syncline {

// Tells the allocator that pieces of contents come and go all the time: it then keeps their memory for the
// next ones, up to some 64 MiB, instead of getting each from the kernel, page by page, and giving it back. To
// be called once, before there are threads.
void tune_allocator();

}  // namespace syncline
