"""Words of motion captions by part of speech, and rules for their base forms; what `tags.py` tags with.

A small hand-made list for English sentences about what a body does, not a dictionary.
"""

_CLOSED = {
    "DET": "a an the this these those each every some any no all both another his her their its my your our "
    "either half",
    "ADP": "to with in on of at from by over before above towards toward into onto across off behind after "
    "through for about along without against under underneath beneath below beside between during within "
    "upon inside outside among amongst near past until up down beyond out",
    "NUM": "one two three four five six seven eight nine ten twelve hundred",
    "AUX": "is are was were be been being am has does did can could will would should shall may might must cannot",
    "PRON": "he she it they them him i you we us who whom himself herself themselves itself something someone "
    "somebody anything nothing everything what me mine theirs himselves oneself",
    "ADJ": "other few several same many more most such own left right clockwise counterclockwise anticlockwise",
    "ADV": "then forward forwards backward backwards sideways again back around away together twice once very "
    "still upwards downwards upward downward outward outwards inward inwards apart slightly also ahead "
    "forth straight there here now just only so too when where first next afterwards almost quite rather "
    "perhaps maybe meanwhile somewhat overhead halfway upstairs downstairs always never often sometimes "
    "aside upright how why even yet instead fast",
    "CCONJ": "and or but nor",
    "SCONJ": "while as if like because whilst though although than since that whether unless which",
    "PART": "not",
    "INTJ": "ok okay yes hello hi",
}
CLOSED = {word: name for name, words in _CLOSED.items() for word in words.split()}
"""Words with one part of speech, whatever stands round them."""

ADJECTIVES = frozenset(
    "able afraid angry bad bent big black blue calm careful casual childlike circular clear close cold complete "
    "crazy curved deep diagonal different double drunk dry elderly entire female feminine flat fourth full giant "
    "good great green happy hard heavy high higher horizontal hot human imaginary invisible large last lateral "
    "lengthy light little long loose low main male masculine medium moderate multiple musical narrow nervous "
    "neutral new normal old open opposite original outstretched overhand proud quick random ready red relaxed "
    "robotic round sad second sharp short shy similar single slight slow small sneaky soft stationary steady "
    "straight strong sturdy tall third tight tired uncomfortable underhand uneven upper upright various vertical "
    "warm weak wet white whole wide young".split()
)
"""Adjectives without a telling ending."""

VERBS = frozenset(
    "accelerate act adjust advance aim align allow alternate angle answer appear applaud apply approach argue "
    "arise arrive ascend attach attack attempt avoid balance bang bank bat bear beat beckon become beg begin "
    "bench bend bite bless block blow boast bob boogie boot bop bounce bow bowl box breathe bring brush build "
    "bump bunt burpee button call carry cartwheel catch cause celebrate center change check cheer chew chop "
    "circle clap clasp clean clear click climb close collapse collect comb come complain complete conduct connect "
    "continue cook cool cough count cover cower cradle crank crawl create creep cringe cross crouch crumple "
    "crunch cry cup curl curve cut dance dangle dash decide defend demonstrate descend detach dial dig dip direct "
    "dismount dive do dodge drag draw dress dribble drink drip drive drop drum duck dunk dust eat elevate end "
    "enter examine exercise exhale exit express extend face fall fan feed feel fight find finish fire fix flail "
    "flap flex flick flinch fling flip float fly focus fold follow freeze gallop gather gaze gesture get give "
    "glance glide go grab grapple grasp grate greet grip groove grow guard hammer hand hang happen have head help "
    "hide hit hitch hold hook hop hover hug hunch hurdle hurl hurry imitate include indicate inhale inspect "
    "interlock invite jab jerk jiggle jog join jolt jostle juggle jump keep kick kickbox kiss knead kneel knock "
    "land laugh lay lead lean leap leave let lick lie lift like limp link load lob lock look loop lounge love "
    "lower lunge make manage march massage measure meditate meet mime mimic mix mop motion mount move near need "
    "nod offer open orbit outstretch pace pack paddle paint pantomime parry pass pat pause pedal peek peel peer "
    "perform pet pick pinch pirouette pitch pivot place plank plant play plead pluck point poke pose position "
    "pound pour practice practise pray prepare present press pretend proceed protect pull punch punt push put "
    "putt raise rake reach read receive recline recoil recover regain relax release remain remove repair repeat "
    "resemble resist rest resume retreat return reverse ride rise rock roll rotate roundhouse row rub run rush "
    "salute saunter saw scare scoop scoot scratch screw scrub search seat see seek seem separate serve set "
    "shadowbox shake shave shield shift shimmy shiver shoot shove shovel show shrug shudder shuffle shut side "
    "sidekick sidestep signal simulate sing sit skate ski skip slap slash sleep slice slide slip slow slump smash "
    "smell smile snap sneak sneeze sniff soar somersault spar speak speed spin spread spring sprint squat squeeze "
    "stab stack stagger stalk stamp stand stare start stay steady steer step stir stomp stoop stop straddle "
    "strafe straighten stretch stride strike stroke stroll struggle strum strut stuff stumble support surf "
    "swallow swat sway sweat sweep swerve swim swing swipe switch tackle take talk tango tap taunt tense test "
    "think throw thrust tie tilt tip tiptoe toss touch trace train travel traverse tremble trip trot try tuck tug "
    "tumble turn twirl twist twitch type undress undulate unload unlock unpack unscrew untie use vault veer "
    "volley wag waggle wait wake walk waltz wander want warm warn wash watch water wave wear weave whirl wiggle "
    "wind wipe wobble wrestle wriggle wring write yank yawn zigzag zip".split()
)
"""Base forms of verbs."""

NOUNS = frozenset(
    "action actor air airplane angle ankle arc area arm attack attention audience baby back bag balance ball "
    "ballet bar baseball basketball bat beam bear beat bed beginning belly bench bend bike bird bit block boat "
    "body book bottle bottom bow bowl box boxer boxing boy broom brush calf call camera car cartwheel cat catwalk "
    "center centre chair character cheek cheer chest chicken child chin circle clap club combo conversation couch "
    "counter couple crab crawl cross crouch crowd crunch cup curve dance dancer day defence defense degree "
    "dinosaur direction distance dog door drink drum duck dumbbell ear edge elbow elephant end exercise eye face "
    "fashion fight fighter figure finger fish fist floor flower flute food foot football force forearm friend "
    "frog front gap gesture girl glass golf gorilla grab ground guard guitar gun guy hair half hammer hand "
    "handrail handstand hat head heart heel height helicopter hill hip hit hold hook hop horse hour human hurdle "
    "inch individual injury item jab jack jacket jog jump karate kick kickboxing kid knee knife kungfu ladder "
    "lean leap leg level lift limp line log look lot lunge man manner martial meter metre middle mile minute "
    "mirror moment monkey mop motion mouse mouth movement music neck nose object obstacle opponent other others "
    "pace pain pair palm pan paper partner path pattern pause pen people person phone piano pivot place plane "
    "plank plate platform player point pole pose position pot pull pullup punch push pushup quarter rabbit racket "
    "racquet rail railing reach rest return rhythm robot rock roll room rope roundhouse routine row run runway "
    "salsa screen search seat second series set shape shelf shield shirt shoe shoulder shuffle side sim sit situp "
    "skip slap slash slope snake soccer sock someone somersault space speed spider spin spoon spot sprint square "
    "squat stagger stair staircase stairs stance star start step steps stick stomach stone stop stretch stride "
    "strike stumble style suitcase support surface swing swipe sword table taekwondo tail talk tango tennis thigh "
    "thing throw thumb time toast toe tool top torso towel toy trash treadmill tree trip turn twist uppercut "
    "violin waist walk wall waltz warmup water wave way weapon weight wheel window wing woman worm wrist yard "
    "yoga zombie".split()
)
"""Singular nouns."""

_IRREGULAR = {
    "bear": "bore", "become": "became", "begin": "began begun", "bend": "bent", "bite": "bit bitten",
    "blow": "blew blown", "break": "broke broken", "bring": "brought", "catch": "caught", "come": "came",
    "creep": "crept", "die": "dying", "dig": "dug", "dive": "dove", "do": "done", "draw": "drew drawn",
    "drink": "drank drunk", "drive": "drove driven", "eat": "ate eaten", "fall": "fell fallen", "feed": "fed",
    "feel": "felt", "fight": "fought", "find": "found", "fling": "flung", "fly": "flew flown",
    "forget": "forgot forgotten", "get": "got gotten", "give": "gave given", "go": "went gone goes",
    "grow": "grew grown", "hang": "hung", "have": "had having has", "hide": "hid hidden", "hold": "held",
    "keep": "kept", "kneel": "knelt", "lay": "laid", "lead": "led", "leap": "leapt", "leave": "leaving",
    "lie": "lying lain lies", "make": "made", "meet": "met", "pay": "paid", "ride": "rode ridden",
    "rise": "rose risen", "run": "ran", "say": "said", "see": "saw seen", "shake": "shook shaken", "shoot": "shot",
    "sing": "sang sung", "sit": "sat", "sleep": "slept", "slide": "slid", "sneak": "snuck", "speak": "spoke spoken",
    "spin": "spun", "stand": "stood", "stick": "stuck", "stride": "strode", "strike": "struck stricken",
    "sweep": "swept", "swim": "swam swum", "swing": "swung", "take": "took taken", "tear": "tore torn",
    "think": "thought", "throw": "threw thrown", "tie": "tying", "wake": "woke woken", "wear": "wore worn",
    "wind": "wound", "write": "wrote written",
}  # fmt: skip
IRREGULAR_VERBS = {form: base for base, forms in _IRREGULAR.items() for form in forms.split()}
"""Forms that no ending rule gives -> base form."""

IRREGULAR_NOUNS = {
    "feet": "foot", "men": "man", "women": "woman", "children": "child", "people": "people", "knives": "knife",
    "shelves": "shelf", "calves": "calf", "halves": "half", "leaves": "leaf", "mice": "mouse", "teeth": "tooth",
    "stairs": "stair", "glasses": "glass", "steps": "step", "axes": "axis",
}  # fmt: skip
"""Plurals that no ending rule gives -> singular."""

DOUBLED = "bdgklmnprtvz"
"""Consonants that a verb may double before -ed and -ing."""


def verb_base(form: str) -> str | None:
    """Base form of a known verb's form, or None: kicks, kicking, kicked -> kick; running -> run."""
    if form in IRREGULAR_VERBS:
        return IRREGULAR_VERBS[form]
    return next((base for base in verb_candidates(form) if base in VERBS), None)


def verb_candidates(form: str) -> list[str]:
    """Strings that could be the base of a regular form, the likeliest first."""
    found = [form]
    for ending in ("ing", "ed"):
        if form.endswith(ending) and len(form) > len(ending) + 1:
            stem = form.removesuffix(ending)
            if stem[-1] == stem[-2] and stem[-1] in DOUBLED:
                found += [stem[:-1], stem]
            elif stem[-1] == "i" and ending == "ed":
                found += [stem[:-1] + "y"]
            elif stem[-1] in "cgsuvz" and stem[-2:] != "ss":
                found += [stem + "e", stem]
            else:
                found += [stem, stem + "e"]
    if form.endswith("ies") and len(form) > 4:
        found += [form[:-3] + "y", form[:-1]]
    elif form.endswith("es") and len(form) > 3 and (form[-3] in "sxzo" or form[-4:-2] in ("ch", "sh")):
        found += [form[:-2], form[:-1]]
    elif form.endswith("s") and not form.endswith(("ss", "us", "is")) and len(form) > 2:
        found += [form[:-1]]
    return [base for base in found if base]


def noun_base(form: str) -> str:
    """Singular of a noun: hands -> hand, boxes -> box, bodies -> body, feet -> foot; other words as they are."""
    if form in IRREGULAR_NOUNS:
        return IRREGULAR_NOUNS[form]
    if form in NOUNS or not form.endswith("s"):
        return form
    candidates = verb_candidates(form)[1:] if not form.endswith(("ss", "us", "is")) else []
    return next((base for base in candidates if base in NOUNS), candidates[0] if candidates else form)
