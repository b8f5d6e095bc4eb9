package flags

import (
	"errors"
	"fmt"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/pflag"
)

// Explain puts an error of pflag in our words. A flag that does not exist is answered with the nearest in flags that is not
// hidden, if one is near.
func Explain(err error, flags *pflag.FlagSet) error {
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return fmt.Errorf("unknown flag -%s", name)
		}
		var names []string
		flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		return fmt.Errorf("unknown flag --%s%s", name, didYouMean("--", nearest(name, names)))
	case errors.As(err, &value):
		return fmt.Errorf("--%s=%s: %w", value.GetFlag().Name, value.GetValue(), reason(err))
	}
	return err
}

func didYouMean(dashes, name string) string {
	if name == "" {
		return ""
	}
	return ": did you mean " + dashes + name + "?"
}

// nearest returns the candidate that the fewest edits turn name into, or "" if that takes more than a third of name.
func nearest(name string, candidates []string) string {
	best, edits := "", max(len(name)/3, 1)+1
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(name, c); d < edits {
			best, edits = c, d
		}
	}
	return best
}
