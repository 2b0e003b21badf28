// The operations of the emulated device: PTX's opcodes by their own names, its modifiers told where
// they change the result. OPERATION<n>(name, result, operand types ..., value) are those of lanes,
// of the operands a, b, c, d; the executor has the others. Integers that are added, multiplied or
// moved have no sign here.

OPERATION(ld)
OPERATION(st)
OPERATION(atom_add_u32)
OPERATION(bra)
OPERATION(bar_sync)
OPERATION(ret)
OPERATION(cvta_shared)
OPERATION(cvta_param)

OPERATION1(mov_b16, U16, U16, a)
OPERATION1(mov_b32, U32, U32, a)
OPERATION1(mov_b64, U64, U64, a)
OPERATION2(pack_b32, U32, U16, U16, U32{a} | U32{b} << 16)
OPERATION2(pack_b64, U64, U32, U32, U64{a} | U64{b} << 32)
OPERATION1(high_b32, U16, U32, static_cast<U16>(a >> 16))
OPERATION1(high_b64, U32, U64, static_cast<U32>(a >> 32))

OPERATION1(cvt_u16_u32, U16, U32, static_cast<U16>(a))
OPERATION1(cvt_u16_u64, U16, U64, static_cast<U16>(a))
OPERATION1(cvt_u32_u64, U32, U64, static_cast<U32>(a))
OPERATION1(cvt_u32_u16, U32, U16, a)
OPERATION1(cvt_u64_u16, U64, U16, a)
OPERATION1(cvt_u64_u32, U64, U32, a)
OPERATION1(cvt_s32_s16, S32, S16, a)
OPERATION1(cvt_s64_s16, S64, S16, a)
OPERATION1(cvt_s64_s32, S64, S32, a)
OPERATION1(cvt_rn_f32_s32, F32, S32, static_cast<F32>(a))
OPERATION1(cvt_rz_f32_s32, F32, S32, toward_zero(a))
OPERATION1(cvt_rn_f64_s32, F64, S32, a)
OPERATION1(cvt_rn_f64_u32, F64, U32, a)
OPERATION1(cvt_f64_f32, F64, F32, a)
OPERATION1(cvt_rn_f32_f64, F32, F64, static_cast<F32>(a))
OPERATION2(cvt_rn_f16x2_f32, U32, F32, F32, rounded(kFloat16, a) << 16 | rounded(kFloat16, b))
OPERATION2(cvt_rn_bf16x2_f32, U32, F32, F32, rounded(kBFloat16, a) << 16 | rounded(kBFloat16, b))
OPERATION2(cvt_rn_satfinite_e4m3x2_f32, U16, F32, F32,
           static_cast<U16>(rounded(kFloat8E4M3, a) << 8 | rounded(kFloat8E4M3, b)))
OPERATION2(cvt_rn_satfinite_e5m2x2_f32, U16, F32, F32,
           static_cast<U16>(rounded(kFloat8E5M2, a) << 8 | rounded(kFloat8E5M2, b)))

#define COMPARISONS(type, T)                    \
  OPERATION2(setp_lt_##type, U32, T, T, a < b)  \
  OPERATION2(setp_le_##type, U32, T, T, a <= b) \
  OPERATION2(setp_gt_##type, U32, T, T, a > b)  \
  OPERATION2(setp_ge_##type, U32, T, T, a >= b)
COMPARISONS(s16, S16)
COMPARISONS(u16, U16)
COMPARISONS(s32, S32)
COMPARISONS(u32, U32)
COMPARISONS(s64, S64)
COMPARISONS(u64, U64)
COMPARISONS(f32, F32)
COMPARISONS(f64, F64)
#undef COMPARISONS
OPERATION2(setp_eq_f32, U32, F32, F32, a == b)
OPERATION2(setp_eq_f64, U32, F64, F64, a == b)
OPERATION2(setp_neu_f32, U32, F32, F32, a != b)
OPERATION2(setp_neu_f64, U32, F64, F64, a != b)
OPERATION1(not_pred, U32, U32, a ^ 1)

#define INTEGERS(type, U)                                               \
  OPERATION2(setp_eq_##type, U32, U, U, a == b)                         \
  OPERATION2(setp_ne_##type, U32, U, U, a != b)                         \
  OPERATION3(selp_##type, U, U, U, U32, c ? a : b)                      \
  OPERATION2(add_##type, U, U, U, static_cast<U>(a + b))                \
  OPERATION2(sub_##type, U, U, U, static_cast<U>(a - b))                \
  OPERATION2(mul_lo_##type, U, U, U, static_cast<U>(U64{a} * b))        \
  OPERATION3(mad_lo_##type, U, U, U, U, static_cast<U>(U64{a} * b + c)) \
  OPERATION1(neg_##type, U, U, static_cast<U>(-a))                      \
  OPERATION2(and_##type, U, U, U, a& b)                                 \
  OPERATION2(or_##type, U, U, U, a | b)                                 \
  OPERATION2(xor_##type, U, U, U, a ^ b)                                \
  OPERATION1(not_##type, U, U, static_cast<U>(~a))                      \
  OPERATION2(shl_##type, U, U, U32, b < 8 * sizeof(U) ? static_cast<U>(a << b) : U{0})
INTEGERS(b16, U16)
INTEGERS(b32, U32)
INTEGERS(b64, U64)
#undef INTEGERS

#define SIGNED_OR_NOT(type, T)                                                  \
  OPERATION2(shr_##type, T, T, U32,                                             \
             static_cast<T>(a >> (b < 8 * sizeof(T) ? b : 8 * sizeof(T) - 1) >> \
                            (b < 8 * sizeof(T) ? 0 : 1)))                       \
  OPERATION2(min_##type, T, T, T, a < b ? a : b)                                \
  OPERATION2(max_##type, T, T, T, a > b ? a : b)
SIGNED_OR_NOT(s16, S16)
SIGNED_OR_NOT(u16, U16)
SIGNED_OR_NOT(s32, S32)
SIGNED_OR_NOT(u32, U32)
SIGNED_OR_NOT(s64, S64)
SIGNED_OR_NOT(u64, U64)
#undef SIGNED_OR_NOT

// A quotient by zero is no error on a device, but none of these kernels means to make one.
OPERATION2(div_s32, S32, S32, S32, a / divisor(b))
OPERATION2(div_u32, U32, U32, U32, a / divisor(b))
OPERATION2(div_s64, S64, S64, S64, a / divisor(b))
OPERATION2(div_u64, U64, U64, U64, a / divisor(b))
OPERATION2(rem_s32, S32, S32, S32, a % divisor(b))
OPERATION2(rem_u32, U32, U32, U32, a % divisor(b))
OPERATION2(rem_s64, S64, S64, S64, a % divisor(b))
OPERATION2(rem_u64, U64, U64, U64, a % divisor(b))
OPERATION2(mul_wide_u16, U32, U16, U16, U32{a} * b)
OPERATION2(mul_wide_s16, S32, S16, S16, S32{a} * b)
OPERATION2(mul_wide_u32, U64, U32, U32, U64{a} * b)
OPERATION2(mul_wide_s32, S64, S32, S32, S64{a} * b)
OPERATION2(mul_hi_u32, U32, U32, U32, static_cast<U32>(U64{a} * b >> 32))
OPERATION2(mul_hi_s32, S32, S32, S32, static_cast<S32>(S64{a} * b >> 32))
OPERATION3(mad_wide_u32, U64, U32, U32, U64, U64{a} * b + c)

OPERATION2(add_rn_f32, F32, F32, F32, a + b)
OPERATION2(sub_rn_f32, F32, F32, F32, a - b)
OPERATION2(mul_rn_f32, F32, F32, F32, a* b)
OPERATION2(div_rn_f32, F32, F32, F32, a / b)
OPERATION1(sqrt_rn_f32, F32, F32, __builtin_sqrtf(a))
OPERATION3(fma_rn_f32, F32, F32, F32, F32, __builtin_fmaf(a, b, c))
OPERATION2(min_f32, F32, F32, F32, smaller(a, b))
OPERATION2(max_f32, F32, F32, F32, -smaller(-a, -b))
OPERATION1(neg_f32, U32, U32, a ^ 0x80000000u)
OPERATION1(abs_f32, U32, U32, a & 0x7FFFFFFFu)
OPERATION2(add_rn_f64, F64, F64, F64, a + b)
OPERATION2(sub_rn_f64, F64, F64, F64, a - b)
OPERATION2(mul_rn_f64, F64, F64, F64, a* b)
OPERATION2(div_rn_f64, F64, F64, F64, a / b)
OPERATION1(rcp_rn_f64, F64, F64, 1 / a)
OPERATION1(sqrt_rn_f64, F64, F64, __builtin_sqrt(a))
OPERATION3(fma_rn_f64, F64, F64, F64, F64, __builtin_fma(a, b, c))
OPERATION2(min_f64, F64, F64, F64, smaller(a, b))
OPERATION2(max_f64, F64, F64, F64, -smaller(-a, -b))
OPERATION1(neg_f64, U64, U64, a ^ 0x8000000000000000u)
OPERATION1(abs_f64, U64, U64, a & 0x7FFFFFFFFFFFFFFFu)

OPERATION4(bfi_b32, U32, U32, U32, U32, U32, inserted(a, b, c, d))
OPERATION4(bfi_b64, U64, U64, U64, U32, U32, inserted(a, b, c, d))
OPERATION3(prmt_b32, U32, U32, U32, U32, permuted(a, b, c))
OPERATION4(lop3_b32, U32, U32, U32, U32, U32, combined(a, b, c, d))

#undef OPERATION
#undef OPERATION1
#undef OPERATION2
#undef OPERATION3
#undef OPERATION4
