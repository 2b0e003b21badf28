/* TestU01 on 32-bit words from standard input, in the machine's byte order.
 *
 *     crush small|crush forward|reversed
 *
 * Prints a line "p NAME<tab>P" for each statistic, and last how many words were read. `reversed`
 * turns the bits of each word round: TestU01 looks mostly at the high ones. */
#include <bbattery.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <swrite.h>
#include <unif01.h>

enum { kBuffered = 1 << 16 };
static uint32_t words[kBuffered];
static size_t left;
static unsigned long long count;
static int is_reversed;

static uint32_t reversed(uint32_t word) {
  word = (word >> 1 & 0x55555555u) | (word & 0x55555555u) << 1;
  word = (word >> 2 & 0x33333333u) | (word & 0x33333333u) << 2;
  word = (word >> 4 & 0x0F0F0F0Fu) | (word & 0x0F0F0F0Fu) << 4;
  return __builtin_bswap32(word);
}

static unsigned int next_word(void) {
  if (left == 0) {
    if (fread(words, sizeof(words[0]), kBuffered, stdin) != kBuffered) {
      fprintf(stderr, "crush: the words ended after %llu\n", count);
      exit(3);
    }
    left = kBuffered;
  }
  const uint32_t word = words[kBuffered - left--];
  ++count;
  return is_reversed ? reversed(word) : word;
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "crush small|crush forward|reversed\n"), 2;
  is_reversed = strcmp(argv[2], "reversed") == 0;
  swrite_Basic = FALSE;
  static char name[] = "words";
  unif01_Gen* generator = unif01_CreateExternGenBits(name, next_word);
  strcmp(argv[1], "crush") == 0 ? bbattery_Crush(generator) : bbattery_SmallCrush(generator);
  for (int i = 0; i < bbattery_NTests; ++i)
    printf("p %s\t%.17g\n", bbattery_TestNames[i], bbattery_pVal[i]);
  printf("words %llu\n", count);
  unif01_DeleteExternGenBits(generator);
  return 0;
}
