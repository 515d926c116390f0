"""Words of wikitext that differ from language to language: namespaces, tags, labels."""


def words(text: str) -> frozenset[str]:
    """Make a set of the words of a text."""
    return frozenset(text.split())


def pairs(text: str) -> dict[str, str]:
    """Make a table of "key=value|key=value"."""
    return dict(pair.split("=", 1) for pair in text.split("|"))


FILE_NAMES = words(
    "file image 文件 图像 圖像 檔案 档案 图片 圖片 ファイル 画像 "
    "파일 그림 datei bild fichier archivo imagen immagine ficheiro imagem "
    "файл изображение зображення bestand afbeelding plik grafika fil soubor dosya "
    "resim tập_tin hình berkas gambar fájl kép fișier imagine tiedosto kuva αρχείο εικόνα ملف صورة پرونده "
    "تصویر קובץ תמונה fails attēls картинка պատկեր ֆայլ चित्र ไฟล์ ภาพ მედია ფაილი slika datoteka súbor "
    "vaizdas pilt fitxer imatge датотека податотека выява сурат şəkil fayl rasm চিত্র படிமம் దస్త్రం പ്രമാണം ಚಿತ್ರ "
    "ચિત્ર ਤਸਵੀਰ රූපය စာရွက် រូបភាព ფაილი mynd íomhá delwedd fitxategi irudi dosiero talaksan larawan "
    "picha lêer bilde skeudenn "
    "fichièr imaxe ficheru immaggine skedë kuva bild dosya вобраз сүрәт rēs̩ sceadu billede файли rakstīņs"
)
"""Lower-case names of the file namespace; in English everywhere, and in the wiki's own language."""
MEDIA_NAMES = words("media 媒体 媒體 メディア 미디어 medien média медиа мультимедиа")
"""Names of the links to a recording itself, whose label is shown: [[Media:a.ogg|listen]]."""
CATEGORY_NAMES = words(
    "category 分类 分類 カテゴリ 분류 kategorie catégorie categoría categoria категория категорія categorie kategoria "
    "kategori thể_loại kategória luokka κατηγορία تصنيف رده קטגוריה kategorija կատեգորիա կատեգորիա kategoreja "
    "श्रेणी หมวดหมู่ კატეგორია kategorio "
    "категорија катэгорыя катэгорія kateqoriya kategoriya turkum санат төркем гурӯҳ ангилал বিষয়শ্রেণী "
    "পরিচ্ছেদ பகுப்பு వర్గం "
    "വർഗ്ഗം ವರ್ಗ શ્રેણી ਸ਼੍ਰੇਣੀ වර්ගය ကဏ္ဍ ចំណាត់ថ្នាក់ ໝວດ زمرہ پۆل קאַטעגאָריע flokkur bólkur catagóir "
    "aicme categori jamii "
    "luokka kategoria kategorie kategori catigurìa rummad rubryk kawan kategorya lîsteya категориясе"
)
"""Lower-case names of the category namespace."""

ENGLISH = (
    "af=Afrikaans|sq=Albanian|am=Amharic|ar=Arabic|hy=Armenian|az=Azerbaijani|eu=Basque|be=Belarusian|"
    "bn=Bengali|ber=Berber languages|bs=Bosnian|br=Breton|bg=Bulgarian|my=Burmese|ca=Catalan|zh=Chinese|"
    "hr=Croatian|cs=Czech|da=Danish|nl=Dutch|en=English|eo=Esperanto|et=Estonian|fo=Faroese|fi=Finnish|"
    "fr=French|gl=Galician|ka=Georgian|de=German|el=Greek|grc=Ancient Greek|gu=Gujarati|he=Hebrew|"
    "hi=Hindi|hu=Hungarian|is=Icelandic|id=Indonesian|ga=Irish|it=Italian|ja=Japanese|kn=Kannada|"
    "kk=Kazakh|km=Khmer|ko=Korean|ku=Kurdish|ky=Kyrgyz|lo=Lao|la=Latin|lv=Latvian|lt=Lithuanian|"
    "lb=Luxembourgish|mk=Macedonian|ms=Malay|ml=Malayalam|mt=Maltese|mi=Māori|mr=Marathi|mn=Mongolian|"
    "nah=Nahuatl|ne=Nepali|no=Norwegian|nb=Norwegian Bokmål|nn=Norwegian Nynorsk|oc=Occitan|"
    "ang=Old English|non=Old Norse|ota=Ottoman Turkish|fa=Persian|peo=Old Persian|pl=Polish|"
    "pt=Portuguese|pa=Punjabi|qu=Quechua|ro=Romanian|rm=Romansh|ru=Russian|rus=Russian|sa=Sanskrit|"
    "gd=Scottish Gaelic|sr=Serbian|sh=Serbo-Croatian|si=Sinhala|sk=Slovak|sl=Slovene|so=Somali|"
    "es=Spanish|sw=Swahili|sv=Swedish|tl=Tagalog|ta=Tamil|te=Telugu|th=Thai|bo=Tibetan|tr=Turkish|"
    "tk=Turkmen|uk=Ukrainian|ur=Urdu|ug=Uyghur|uz=Uzbek|vi=Vietnamese|cy=Welsh|yi=Yiddish"
)
SIMPLIFIED = (
    "ar=阿拉伯语|zh=汉语|cs=捷克语|nl=荷兰语|en=英语|fi=芬兰语|fr=法语|de=德语|el=希腊语|he=希伯来语|hi=印地语|hu=匈牙利语|id=印尼语|it=意大利语|"
    "ja=日语|ko=朝鲜语|la=拉丁语|ms=马来语|mn=蒙古语|fa=波斯语|pl=波兰语|pt=葡萄牙语|ro=罗马尼亚语|ru=俄语|sa=梵语|es=西班牙语|sv=瑞典语|th=泰语|"
    "bo=藏语|tr=土耳其语|uk=乌克兰语|vi=越南语"
)
TRADITIONAL = (
    "ar=阿拉伯語|zh=漢語|cs=捷克語|nl=荷蘭語|en=英語|fi=芬蘭語|fr=法語|de=德語|el=希臘語|he=希伯來語|hi=印地語|hu=匈牙利語|id=印尼語|it=義大利語|"
    "ja=日語|ko=朝鮮語|la=拉丁語|ms=馬來語|mn=蒙古語|fa=波斯語|pl=波蘭語|pt=葡萄牙語|ro=羅馬尼亞語|ru=俄語|sa=梵語|es=西班牙語|sv=瑞典語|th=泰語|"
    "bo=藏語|tr=土耳其語|uk=烏克蘭語|vi=越南語"
)
JAPANESE = (
    "ar=アラビア語|zh=中国語|cs=チェコ語|nl=オランダ語|en=英語|fi=フィンランド語|fr=フランス語|de=ドイツ語|el=ギリシア語|grc=古代ギリシャ語|he=ヘブライ語|"
    "hi=ヒンディー語|hu=ハンガリー語|id=インドネシア語|it=イタリア語|ko=朝鮮語|la=ラテン語|ms=マレー語|mn=モンゴル語|fa=ペルシア語|pl=ポーランド語|"
    "pt=ポルトガル語|ro=ルーマニア語|ru=ロシア語|sa=サンスクリット|es=スペイン語|sv=スウェーデン語|th=タイ語|tr=トルコ語|uk=ウクライナ語|vi=ベトナム語"
)
RUSSIAN = (
    "ar=араб.|zh=кит.|cs=чеш.|nl=нидерл.|en=англ.|fi=фин.|fr=фр.|de=нем.|el=греч.|grc=др.-греч.|he=ивр.|"
    "hi=хинди|hu=венг.|it=итал.|ja=яп."
    "|ko=кор.|la=лат.|fa=перс.|pl=польск.|pt=порт.|ro=рум.|sa=санскр.|es=исп.|sv=швед.|tr=тур.|uk=укр.|"
    "be=белор.|tt=тат.|lt=лит.|lv=латыш.|et=эст.|ka=груз.|hy=арм.|no=норв.|da=дат.|bg=болг.|sr=серб.|hr=хорв.|"
    "sk=словацк.|sl=словен.|kk=каз.|az=азерб.|uz=узб.|mn=монг.|vi=вьетн.|th=тайск.|yi=идиш|eo=эспер.|ca=кат."
)
SPANISH = (
    "ar=en árabe|zh=en chino|cs=en checo|nl=en neerlandés|en=en inglés|fr=en francés|de=en alemán|"
    "el=en griego|grc=en griego antiguo"
    "|he=en hebreo|it=en italiano|ja=en japonés|ko=en coreano|la=en latín|fa=en persa|pl=en polaco|"
    "pt=en portugués|ru=en ruso"
    "|ca=en catalán|eu=en euskera|gl=en gallego|sv=en sueco|tr=en turco"
)
GERMAN = (
    "ar=arabisch|zh=chinesisch|cs=tschechisch|nl=niederländisch|en=englisch|fr=französisch|el=griechisch|"
    "grc=altgriechisch|he=hebräisch"
    "|it=italienisch|ja=japanisch|ko=koreanisch|la=lateinisch|fa=persisch|pl=polnisch|pt=portugiesisch|"
    "ru=russisch|es=spanisch"
    "|sv=schwedisch|tr=türkisch|hu=ungarisch|ro=rumänisch|uk=ukrainisch"
)

FRENCH = (
    "ar=en arabe|zh=en chinois|cs=en tchèque|nl=en néerlandais|en=en anglais|de=en allemand|el=en grec|"
    "grc=en grec ancien|he=en hébreu|hu=en hongrois|it=en italien|ja=en japonais|ko=en coréen|la=en latin|"
    "fa=en persan|pl=en polonais|pt=en portugais|ro=en roumain|ru=en russe|es=en espagnol|sv=en suédois|"
    "tr=en turc|uk=en ukrainien|br=en breton|oc=en occitan|ca=en catalan|eu=en basque"
)
PORTUGUESE = (
    "ar=em árabe|zh=em chinês|cs=em checo|nl=em neerlandês|en=em inglês|fr=em francês|de=em alemão|el=em grego|"
    "grc=em grego antigo|he=em hebraico|hu=em húngaro|it=em italiano|ja=em japonês|ko=em coreano|la=em latim|"
    "fa=em persa|pl=em polonês|ro=em romeno|ru=em russo|es=em espanhol|sv=em sueco|tr=em turco|gl=em galego"
)
DUTCH = "en=Engels|fr=Frans|de=Duits|la=Latijn|grc=Oudgrieks|el=Grieks|es=Spaans|it=Italiaans|ru=Russisch|ja=Japans"
UKRAINIAN = (
    "en=англ.|de=нім.|fr=фр.|la=лат.|grc=дав.-гр.|el=грец.|ru=рос.|pl=пол.|it=італ.|es=ісп.|be=біл.|cs=чес.|"
    "hu=угор.|ro=рум.|ja=яп.|zh=кит.|ar=араб.|he=івр.|tr=тур.|sv=швед.|nl=нід.|pt=порт.|lt=лит."
)
KOREAN = (
    "en=영어|ja=일본어|zh=중국어|de=독일어|fr=프랑스어|la=라틴어|el=그리스어|grc=고대 그리스어|es=스페인어|"
    "it=이탈리아어|ru=러시아어|ar=아랍어|he=히브리어|nl=네덜란드어|pt=포르투갈어|tr=튀르키예어|sv=스웨덴어|vi=베트남어|th=태국어|hi=힌디어"
)

EAST_ASIAN_UNITS = pairs(
    "mm=毫米|cm=厘米|m=米|km=公里|in=英寸|ft=英尺|yd=码|mi=英里|nmi=海里|m²=平方米|km²=平方公里|ha=公顷|acres=英亩|"
    "sq ft=平方英尺|sq mi=平方英里|m³=立方米|cu ft=立方英尺|L=升|g=克|kg=公斤|t=吨|oz=盎司|lb=磅|km/h=公里每小时|"
    "m/s=米每秒|mph=英里每小时|kn=节|kW=千瓦|MW=兆瓦|hp=马力|ly=光年|pc=秒差距|AU=天文单位"
)
"""Symbol of a unit to the name that Chinese readers see."""
LANGUAGES = {
    wiki: pairs(names)
    for wiki, names in {
        "en": ENGLISH,
        "zh-hans": SIMPLIFIED,
        "zh-hant": TRADITIONAL,
        "ja": JAPANESE,
        "ru": RUSSIAN,
        "es": SPANISH,
        "de": GERMAN,
        "fr": FRENCH,
        "pt": PORTUGUESE,
        "nl": DUTCH,
        "uk": UKRAINIAN,
        "ko": KOREAN,
    }.items()
}
"""The labels {{lang-xx}} puts before its text: wiki language, or Chinese variant, to language code to label."""
