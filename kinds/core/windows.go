package core

import (
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/rules"
)

const (
	maxCredentialSpecKiB = 64
	maxWindowsDomain     = 256 // exclusive, in bytes
	maxWindowsUser       = 104 // inclusive, in bytes
)

var (
	controlCharacters = regexp.MustCompile(`[[:cntrl:]]+`)
	netBIOSDomain     = regexp.MustCompile(`^[^\\/:\*\?"<>|\.][^\\/:\*\?"<>|]{0,14}$`)
	dnsDomain         = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)
)

func windowsOptions() *rules.Set {
	return rules.Of[corev1.WindowsSecurityContextOptions](
		rules.At("gmsaCredentialSpecName", rules.Format(utilvalidation.IsDNS1123Subdomain)),
		rules.At("gmsaCredentialSpec", rules.Format(func(s string) []string {
			switch {
			case s == "":
				return []string{"gmsaCredentialSpec cannot be an empty string"}
			case len(s) > maxCredentialSpecKiB<<10:
				return []string{fmt.Sprintf("gmsaCredentialSpec size must be under %d KiB", maxCredentialSpecKiB)}
			}
			return nil
		})),
		rules.At("runAsUserName", rules.Format(windowsUserName)),
	)
}

// windowsUserName tells what is wrong with a user of Windows, written as USER or DOMAIN\USER.
func windowsUserName(s string) []string {
	switch {
	case s == "":
		return []string{"runAsUserName cannot be an empty string"}
	case controlCharacters.MatchString(s):
		return []string{"runAsUserName cannot contain control characters"}
	case strings.Count(s, `\`) > 1:
		return []string{"runAsUserName cannot contain more than one backslash"}
	}
	var errs []string
	domain, user, hasDomain := strings.Cut(s, `\`)
	if !hasDomain {
		domain, user = "", s
	}
	if len(domain) >= maxWindowsDomain {
		errs = append(errs, fmt.Sprintf("runAsUserName's Domain length must be under %d characters", maxWindowsDomain))
	}
	if hasDomain && !netBIOSDomain.MatchString(domain) && !dnsDomain.MatchString(domain) {
		errs = append(errs, "runAsUserName's Domain doesn't match the NetBios nor the DNS format")
	}
	switch {
	case user == "":
		errs = append(errs, "runAsUserName's User cannot be empty")
	case len(user) > maxWindowsUser:
		errs = append(errs, fmt.Sprintf("runAsUserName's User length must not be longer than %d characters", maxWindowsUser))
	}
	if user != "" && strings.Trim(user, ". ") == "" {
		errs = append(errs, "runAsUserName's User cannot contain only periods or spaces")
	}
	if strings.ContainsAny(user, `"/\:;|=,+*?<>@[]`) {
		errs = append(errs, `runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]`)
	}
	return errs
}

// checkHostProcess asks that all containers of a pod run in the host's job object or none, and with them the network.
func checkHostProcess(c *rules.Checker, v, _ *corev1.PodSpec) {
	var ofPod *bool
	if v.SecurityContext != nil && v.SecurityContext.WindowsOptions != nil {
		ofPod = v.SecurityContext.WindowsOptions.HostProcess
	}
	all, hosted := 0, 0
	eachContainer(v, func(list string, i int, ctr *corev1.Container) {
		all++
		own := ofPod
		if ctr.SecurityContext != nil && ctr.SecurityContext.WindowsOptions != nil && ctr.SecurityContext.WindowsOptions.HostProcess != nil {
			own = ctr.SecurityContext.WindowsOptions.HostProcess
			if ofPod != nil && *ofPod != *own {
				c.Add(field.Invalid(c.At(list).Index(i).Child("securityContext", "windowsOptions", "hostProcess"), *own,
					fmt.Sprintf("pod hostProcess value must be identical if both are specified, was %v", *ofPod)))
			}
		}
		if isTrue(own) {
			hosted++
		}
	})
	if hosted == 0 {
		return
	}
	if hosted != all {
		c.Add(field.Invalid(c.Path(), "", "If pod contains any hostProcess containers then all containers must be HostProcess containers"))
	}
	if !v.HostNetwork {
		c.Add(field.Invalid(c.At("hostNetwork"), false, "hostNetwork must be true if pod contains any hostProcess containers"))
	}
}
