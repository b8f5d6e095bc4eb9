package flags

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Set is the command line of the server: flags, and the Options that they fill. It is made by [New] and used once.
type Set struct {
	groups  []Group
	all     *pflag.FlagSet
	options Options
	// faults are values that could not be understood, in the order given.
	faults []error
	// given are the refused and the fixed flags that occurred, with their values.
	given []given
	// switched are notes on what was turned on or off in vain.
	switched []string
	// admission holds the values of the flags that choose admission plugins.
	admission struct{ enable, disable []string }
}

type given struct{ flag, value string }

// Group is a part of the flags under a heading.
type Group struct {
	// Title is the heading, such as "Serving".
	Title string
	// Flags are the flags, without those that are refused.
	Flags *pflag.FlagSet
}

// New returns the flags with the defaults of a profile, which --profile can change.
func New(p Profile) *Set {
	s := &Set{all: pflag.NewFlagSet("serve", pflag.ContinueOnError)}
	s.all.SortFlags = false
	s.registerAll()
	s.registerFixed()
	s.registerRefused()
	s.apply("profile", string(p))
	s.applyProfile(p)
	s.all.VisitAll(func(f *pflag.Flag) {
		if f.DefValue = f.Value.String(); f.DefValue == "[]" {
			f.DefValue = ""
		}
	})
	// From here on a value that cannot be understood is kept as a fault, so that the others are found too.
	s.all.VisitAll(func(f *pflag.Flag) { f.Value = &patient{Value: f.Value, name: f.Name, faults: &s.faults} })
	return s
}

// FlagSet holds all flags, the refused ones included, which are hidden.
func (s *Set) FlagSet() *pflag.FlagSet { return s.all }

// Groups are the flags for the help text.
func (s *Set) Groups() []Group { return s.groups }

// Options returns what the parsed command line asks for, and notes on what it asks for in vain or at its own risk, fit
// for the log. The error joins all faults.
func (s *Set) Options() (opts *Options, notes []string, err error) {
	if len(s.faults) == 0 { // else the profile may not be the one that was meant
		s.applyProfile(s.options.Profile)
	}
	o := s.options
	faults := append([]error(nil), s.faults...)
	for _, g := range s.given {
		note, err := judge(g)
		if err != nil {
			faults = append(faults, err)
		} else {
			notes = append(notes, note)
		}
	}
	pluginNotes, pluginFaults := o.judgePlugins(s.admission.enable, s.admission.disable)
	notes, faults = append(notes, pluginNotes...), append(faults, pluginFaults...)
	faults = append(faults, s.settleAuthorization(&o)...)
	notes = append(append(notes, s.switched...), s.settle(&o)...)
	if err := errors.Join(append(faults, o.Validate())...); err != nil {
		return nil, nil, err
	}
	return &o, notes, nil
}

// settle fills in what depends on more than one flag.
func (s *Set) settle(o *Options) (notes []string) {
	o.AnonymousGiven = s.all.Changed("anonymous-auth")
	if o.AuditLogPath == "" && o.DataDir != "" && !s.all.Changed("audit-log-path") && o.Profile == Hardened {
		o.AuditLogPath = DefaultAuditLog(o.DataDir)
	}
	if o.Anonymous != AnonymousNone && o.allowsAlways() {
		o.Anonymous = AnonymousNone
		notes = append(notes, "--anonymous-auth is off: --authorization-mode="+AlwaysAllow+" would let everybody do everything")
	}
	notes = append(notes, o.noteRequestHeader()...)
	if o.Profile == Hardened && o.Anonymous == AnonymousAny {
		notes = append(notes, "--anonymous-auth=true lets requests without credentials reach authorization")
	}
	if o.Profile == Hardened && o.PeerRateLimit == 0 {
		notes = append(notes, "--peer-rate-limit=0: one address may ask without limit before it is known who asks")
	}
	if o.Profile == Hardened && o.ClientRateLimit == 0 {
		notes = append(notes, "--client-rate-limit=0: one user may ask without limit")
	}
	if slices.Contains(o.AuthorizationModes, Node) && !o.isOn(nodeRestriction) {
		notes = append(notes, "--authorization-mode="+Node+" without --enable-admission-plugins="+nodeRestriction+" lets every node write what belongs to others")
	}
	if o.allowsAlways() {
		notes = append(notes, "--authorization-mode="+AlwaysAllow+" lets every authenticated user do everything")
	}
	return notes
}

// LogValue shows every flag that has a value, with what is in effect. Flags hold no secrets: keys and tokens are in
// files, and a URL with a password is refused.
func (s *Set) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, g := range s.groups {
		g.Flags.VisitAll(func(f *pflag.Flag) {
			if v := f.Value.String(); v != "" && v != "[]" {
				attrs = append(attrs, slog.String(f.Name, v))
			}
		})
	}
	return slog.GroupValue(attrs...)
}

// Effective are all flags with what is in effect, as [Set.LogValue] but those without a value too. Flags that can say only one thing here have what
// was said, or nothing.
func (s *Set) Effective() map[string]string {
	all := map[string]string{}
	s.all.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			all[f.Name] = f.Value.String()
		}
	})
	for _, f := range fixedFlags() {
		all[f.flag] = ""
	}
	for _, g := range s.given {
		all[g.flag] = g.value
	}
	return all
}

func (s *Set) applyProfile(p Profile) {
	for name, value := range differing(p) {
		if !s.all.Changed(name) {
			s.apply(name, value)
		}
	}
}

// apply sets a default, as opposed to what the command line gives. It panics for a default that is wrong, which
// every test finds.
func (s *Set) apply(name, value string) {
	v := s.all.Lookup(name).Value
	if p, ok := v.(*patient); ok {
		v = p.Value
	}
	var err error
	if list, ok := v.(pflag.SliceValue); ok {
		err = list.Replace(strings.Split(value, ","))
	} else {
		err = v.Set(value)
	}
	if err != nil {
		panic(fmt.Sprintf("default of --%s: %v", name, err))
	}
}
