package workload

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// place is one of the five places of a schedule and what may stand in it.
type place struct {
	least, most int
	names       string // of the values from least on, three letters each
}

func places() [5]place {
	return [5]place{
		{0, 59, ""}, {0, 23, ""}, {1, 31, ""}, {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"}, {0, 6, "sunmontuewedthufrisat"},
	}
}

// checkSchedule says what is wrong with the schedule of a cron job:
//
//	schedule = [ zone " " ] ( "@yearly" | "@annually" | "@monthly" | "@weekly" | "@daily" | "@midnight" | "@hourly"
//	                        | "@every " duration | minute hour day-of-month month day-of-week )
//	zone     = ( "TZ=" | "CRON_TZ=" ) name
//	minute   = { "," } range { "," range } and so on for the other places
//	range    = ( "*" | "?" | value [ "-" value ] ) [ "/" step ]
//
// Nothing is computed from a schedule here. The messages are those of the parser that cron controllers use, since clients see them.
func checkSchedule(text string) error {
	if strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=") {
		_, zone, _ := strings.Cut(text, "=")
		name, rest, ok := strings.Cut(zone, " ")
		if !ok {
			return errors.New("invalid schedule format: runtime error: slice bounds out of range [:-1]")
		}
		if _, err := time.LoadLocation(name); err != nil {
			return fmt.Errorf("provided bad location %s: %w", name, err)
		}
		text = strings.TrimSpace(rest)
	}
	if strings.HasPrefix(text, "@") {
		return checkDescriptor(text)
	}
	fields := strings.Fields(text)
	all := places()
	if len(fields) != len(all) {
		return fmt.Errorf("expected exactly %d fields, found %d: %s", len(all), len(fields), fields)
	}
	for i, f := range fields {
		for r := range strings.SplitSeq(f, ",") {
			if r == "" {
				continue
			}
			if err := all[i].checkRange(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkDescriptor(text string) error {
	switch text {
	case "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly":
		return nil
	}
	duration, ok := strings.CutPrefix(text, "@every ")
	if !ok {
		return fmt.Errorf("unrecognized descriptor: %s", text)
	}
	if _, err := time.ParseDuration(duration); err != nil {
		return fmt.Errorf("failed to parse duration %s: %w", text, err)
	}
	return nil
}

func (p place) checkRange(text string) error {
	slashes := strings.Split(text, "/")
	first, last, err := p.bounds(slashes[0], text)
	if err != nil {
		return err
	}
	step := 1
	switch len(slashes) {
	case 1:
	case 2:
		if step, err = number(slashes[1]); err != nil {
			return err
		}
		if !strings.Contains(slashes[0], "-") {
			last = p.most
		}
	default:
		return fmt.Errorf("too many slashes: %s", text)
	}
	switch {
	case first < p.least:
		return fmt.Errorf("beginning of range (%d) below minimum (%d): %s", first, p.least, text)
	case last > p.most:
		return fmt.Errorf("end of range (%d) above maximum (%d): %s", last, p.most, text)
	case first > last:
		return fmt.Errorf("beginning of range (%d) beyond end of range (%d): %s", first, last, text)
	case step == 0:
		return fmt.Errorf("step of range should be a positive number: %s", text)
	}
	return nil
}

// bounds reads the part of a range before the step. whole is the range, for messages.
func (p place) bounds(text, whole string) (first, last int, err error) {
	ends := strings.Split(text, "-")
	if ends[0] == "*" || ends[0] == "?" {
		return p.least, p.most, nil
	}
	if first, err = p.value(ends[0]); err != nil {
		return 0, 0, err
	}
	switch len(ends) {
	case 1:
		return first, first, nil
	case 2:
		last, err = p.value(ends[1])
		return first, last, err
	}
	return 0, 0, fmt.Errorf("too many hyphens: %s", whole)
}

func (p place) value(text string) (int, error) {
	if at := strings.Index(p.names, strings.ToLower(text)); len(text) == 3 && at >= 0 && at%3 == 0 {
		return p.least + at/3, nil
	}
	return number(text)
}

func number(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("failed to parse int from %s: %w", text, err)
	}
	if n < 0 {
		return 0, fmt.Errorf("negative number (%d) not allowed: %s", n, text)
	}
	return n, nil
}
