package core

import (
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

// subdomain asks for the name of an object of most kinds.
func subdomain() rules.Rule {
	return rules.Format(func(s string) []string { return validation.NameIsDNSSubdomain(s, false) })
}

// subdomainPrefix asks for what may begin such a name.
func subdomainPrefix() rules.Rule {
	return rules.Format(func(s string) []string { return validation.NameIsDNSSubdomain(s, true) })
}

func label() rules.Rule { return rules.Format(utilvalidation.IsDNS1123Label) }

// noBacksteps asks that no element of a path is "..".
func noBacksteps() rules.Rule { return rules.Format(backsteps) }

func backsteps(s string) []string {
	if slices.Contains(strings.Split(s, "/"), "..") {
		return []string{"must not contain '..'"}
	}
	return nil
}

// descending asks for a relative path without "..".
func descending() rules.Rule { return rules.Format(notDescending) }

func notDescending(s string) []string {
	if path.IsAbs(s) {
		return append([]string{"must be a relative path"}, backsteps(s)...)
	}
	return backsteps(s)
}

// localPath asks for a path inside a volume that does not meet the names which a kubelet uses there itself.
func localPath() rules.Rule { return rules.Format(notLocal) }

func notLocal(s string) []string {
	errs := notDescending(s)
	if strings.HasPrefix(s, "..") && !strings.HasPrefix(s, "../") {
		errs = append(errs, "must not start with '..'")
	}
	return errs
}

// fileMode asks for permission bits.
func fileMode() rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *int32) {
		if *v < 0 || *v > 0o777 {
			c.Add(field.Invalid(c.Path(), *v, "must be a number between 0 and 0777 (octal), both inclusive"))
		}
	})
}

// ipAddress asks for an IP address as it is written without leading zeros and the like.
func ipAddress(p *field.Path, s string) field.ErrorList {
	return utilvalidation.IsValidIPForLegacyField(p, s, true, nil)
}

// userID and groupID ask for numbers that Linux has for users and groups.
func userID() rules.Rule  { return id(utilvalidation.IsValidUserID) }
func groupID() rules.Rule { return id(utilvalidation.IsValidGroupID) }

func id(messages func(int64) []string) rules.Rule {
	return rules.Check(func(c *rules.Checker, v, _ *int64) {
		for _, m := range messages(*v) {
			c.Add(field.Invalid(c.Path(), *v, m))
		}
	})
}
