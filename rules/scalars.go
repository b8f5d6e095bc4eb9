package rules

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/api/validate/content"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// number checks integers and pointers to them; nil is passed over.
func number(f func(c *Checker, n int64)) Rule {
	return ruleFunc(func(t reflect.Type) (step, error) {
		if !indirect(t).ConvertibleTo(reflect.TypeFor[int64]()) || !reflect.Zero(indirect(t)).CanInt() {
			return step{}, fmt.Errorf("a rule for integers does not fit %s", t)
		}
		return step{check: func(c *Checker, v, _ reflect.Value) bool {
			if v, ok := deref(v); ok {
				f(c, v.Int())
			}
			return true
		}}, nil
	})
}

// NonNegative asks for 0 or more.
func NonNegative() Rule { return Min(0) }

// Positive asks for 1 or more, in the words that the reference has for that.
func Positive() Rule {
	return number(func(c *Checker, n int64) {
		if n <= 0 {
			c.Add(field.Invalid(c.Path(), n, "must be greater than 0"))
		}
	})
}

// Min asks for least or more.
func Min(least int64) Rule {
	return number(func(c *Checker, n int64) {
		if n < least {
			c.Add(field.Invalid(c.Path(), n, content.MinError(least)))
		}
	})
}

// Max asks for most or less.
func Max(most int64) Rule {
	return number(func(c *Checker, n int64) {
		if n > most {
			c.Add(field.Invalid(c.Path(), n, content.MaxError(most)))
		}
	})
}

// Between asks for lowest to highest, both included.
func Between(lowest, highest int) Rule {
	return number(func(c *Checker, n int64) {
		if n < int64(lowest) || n > int64(highest) {
			c.Add(field.Invalid(c.Path(), n, utilvalidation.InclusiveRangeError(lowest, highest)))
		}
	})
}

// Port asks for a port number, 1 to 65535.
func Port() Rule { return Between(1, 65535) }

// text checks strings and pointers to them; nil is passed over, the empty string is not.
func text(f func(c *Checker, s string)) Rule {
	return ruleFunc(func(t reflect.Type) (step, error) {
		if indirect(t).Kind() != reflect.String {
			return step{}, fmt.Errorf("a rule for strings does not fit %s", t)
		}
		return step{check: func(c *Checker, v, _ reflect.Value) bool {
			if v, ok := deref(v); ok {
				f(c, v.String())
			}
			return true
		}}, nil
	})
}

// Format asks for what a function of k8s.io/apimachinery accepts, such as validation.IsDNS1123Label. Each message it returns
// becomes an error of type Invalid.
func Format(messages func(string) []string) Rule {
	return text(func(c *Checker, s string) {
		for _, m := range messages(s) {
			c.Add(field.Invalid(c.Path(), s, m))
		}
	})
}

// FormatAt asks for what a function of k8s.io/apimachinery accepts that makes the errors itself, such as validation.IsValidIP.
func FormatAt(errors func(*field.Path, string) field.ErrorList) Rule {
	return text(func(c *Checker, s string) {
		// The path is only needed for an error, and most values have none.
		if len(errors(nil, s)) > 0 {
			c.Add(errors(c.Path(), s)...)
		}
	})
}

// Enum asks for one of the values, the empty string being like any other: an entry with an optional field begins with [Optional].
func Enum[T ~string](values ...T) Rule {
	return text(func(c *Checker, s string) {
		for _, v := range values {
			if s == string(v) {
				return
			}
		}
		c.Add(field.NotSupported(c.Path(), s, values))
	})
}

// MaxBytes bounds the length of a string in bytes.
func MaxBytes(most int) Rule {
	return text(func(c *Checker, s string) {
		if len(s) > most {
			c.Add(field.TooLong(c.Path(), "", most))
		}
	})
}
