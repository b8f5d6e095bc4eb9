// Package quantity bounds the texts of quantities before they are parsed. The library computes with all the digits that a number would
// have when it is written out: 1e-9999999 takes it seconds, and a few digits more take all of the memory.
package quantity

import (
	"bytes"
	"errors"
	"strings"
)

// Bounds of a quantity: the bytes of its text, and its decimal exponent in both directions. What Kubernetes can hold lies between
// 1e-9 and 1e19.
const (
	MaxBytes    = 256
	MaxExponent = 1000
)

// ErrBounds is the error of [Check].
var ErrBounds = errors.New("a quantity has at most 256 characters and an exponent from -1000 to 1000")

// Check returns [ErrBounds] for a text that must not be parsed. Other texts may be quantities or not.
func Check(text string) error {
	if len(text) > MaxBytes {
		return ErrBounds
	}
	i := strings.LastIndexAny(text, "eE")
	if i < 0 {
		return nil
	}
	digits := strings.TrimLeft(text[i+1:], "+-0")
	n := 0
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return nil // It is no exponent.
		}
		if n = 10*n + int(c-'0'); n > MaxExponent {
			return ErrBounds
		}
	}
	return nil
}

// suspectDigits is how many digits an exponent has at least that is out of bounds.
const suspectDigits = 4

// Suspect reports whether some string of a JSON document may be one that [Check] refuses. It looks at nothing but the bytes, so that a document
// without such strings, as nearly all are, need not be taken apart. What stands beside letters, as in a uid or the digest of an image, is no
// number of its own; where characters are escaped this is not looked at, because the letter may be part of the escape.
func Suspect(data []byte) bool {
	escapes := bytes.IndexByte(data, '\\') >= 0
	number, exponent, inExponent, inWord := 0, 0, false, false // bytes of a number, and digits of its exponent, up to here
	for _, c := range data {
		letter := !escapes && (c|0x20 >= 'a' && c|0x20 <= 'z')
		switch {
		case inWord && (letter || c >= '0' && c <= '9' || c == '.' || c == '+' || c == '-'):
		case c >= '0' && c <= '9':
			number++
			if inExponent {
				exponent++
			}
		case c == '.', c == '+', c == '-':
			number++
		case (c == 'e' || c == 'E') && number > 0:
			number, exponent, inExponent = number+1, 0, true
		default:
			if inExponent && exponent >= suspectDigits && !letter {
				return true
			}
			number, inExponent, inWord = 0, false, letter
		}
		if number > MaxBytes-2 || (escapes && inExponent && exponent >= suspectDigits) { // A sign or a suffix of two letters makes the text longer.
			return true
		}
	}
	return inExponent && exponent >= suspectDigits
}
