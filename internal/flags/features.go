package flags

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// switches is a flag of names that are turned on or off, name=true,name=false; a name alone is on. It sets nothing: what is served and which
// features there are is fixed here, so all it can do is say so.
type switches struct {
	flag  string
	judge func(name string, on bool) (note string, err error)
	notes *[]string
	text  []string
}

// registerSwitches adds the flags whose values are judged name by name.
func registerSwitches(fs *pflag.FlagSet, notes *[]string) {
	fs.Var(&switches{flag: "runtime-config", judge: judgeVersion, notes: notes}, "runtime-config",
		"API versions to turn on or off, such as api/all=true: those of Kubernetes 1.36 that are on by default are served, and no others")
	fs.Var(&switches{flag: "feature-gates", judge: judgeFeature, notes: notes}, "feature-gates",
		"features to turn on or off: only AllAlpha=false, which is so anyway")
}

// Set judges each of the names.
func (s *switches) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		on := value == "" || value == "true"
		if !on && value != "false" {
			return fmt.Errorf("%s: want true or false", part)
		}
		note, err := s.judge(strings.TrimSpace(name), on)
		if err != nil {
			return err
		}
		*s.notes = append(*s.notes, fmt.Sprintf("--%s=%s changes nothing: %s", s.flag, part, note))
		s.text = append(s.text, part)
	}
	return nil
}

// String lists what was given.
func (s *switches) String() string { return strings.Join(s.text, ",") }

// Type is what the help text shows for the value.
func (s *switches) Type() string { return "name=bool,..." }

// judgeVersion accepts what is so anyway: stable versions are served, alpha and beta ones are not.
func judgeVersion(name string, on bool) (note string, err error) {
	parts := strings.Split(name, "/")
	switch {
	case name == "api/all" && on, name == "api/ga" && on:
		return "all stable versions of the API are served", nil
	case name == "api/alpha" || name == "api/beta" || name == "api/legacy":
		return "alpha and beta versions of the API are not served", nil
	case name == "api/all" || name == "api/ga":
		return "", fmt.Errorf("%s=false: the API cannot be turned off", name)
	case len(parts) > 3 || slices.Contains(parts, ""):
		return "", fmt.Errorf("%q: want api/all, api/ga, api/beta, api/alpha, group/version or group/version/resource", name)
	}
	version := parts[0]
	if len(parts) > 1 {
		version = parts[1]
	}
	unstable := strings.Contains(version, "alpha") || strings.Contains(version, "beta")
	switch {
	case unstable && on:
		return "", fmt.Errorf("%s: alpha and beta versions of the API are not implemented", name)
	case unstable:
		return "alpha and beta versions of the API are not served", nil
	case on:
		return "the stable versions of the API are served", nil
	}
	return "", fmt.Errorf("%s=false: turning off what is served is not implemented", name)
}

func judgeFeature(name string, on bool) (note string, err error) {
	if name == "AllAlpha" && !on {
		return "no alpha feature exists here", nil
	}
	if name == "" {
		return "", errors.New("want Name=true or Name=false")
	}
	return "", fmt.Errorf("%s: features cannot be turned on or off here: those that are on by default in 1.36 exist, or are in the list of divergences", name)
}
